//go:build containers_image_openpgp

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	imgspecv1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/image"
)

func runManifestCreate(ctx context.Context, c call) error {
	annotations, err := pairs("annotation", c.flags.texts("annotation"))
	if err != nil {
		return fmt.Errorf("manifest create: %w", err)
	}
	there, err := c.images.ListExists(c.args[0])
	if err != nil && !errors.Is(err, image.ErrNotList) {
		return err
	}
	id, err := c.images.CreateList(c.args[0], c.flags.yes("amend"), annotations)
	if err != nil {
		return err
	}
	if err := c.addAll(ctx, c.args[1:], image.Platform{}); err != nil {
		if !there { // what this very command has made goes with it
			_, undo := c.images.RemoveList(id, image.RemoveOptions{Force: true})
			err = errors.Join(err, undo)
		}
		return err
	}
	fmt.Fprintln(c.Out, id)
	return nil
}

// addAll adds images to the list that is the first argument.
func (c call) addAll(ctx context.Context, names []string, p image.Platform) error {
	r, err := c.registry()
	if err != nil {
		return err
	}
	for _, n := range names {
		if _, err := c.images.AddToList(ctx, c.args[0], image.Addition{Image: n, All: c.flags.yes("all"), Platform: p, Registry: r}); err != nil {
			return err
		}
	}
	return nil
}

func runManifestAdd(ctx context.Context, c call) error {
	p, err := c.listPlatform()
	switch {
	case err != nil:
		return fmt.Errorf("manifest add: %w", err)
	case c.flags.yes("artifact"):
		err = c.addArtifact(ctx, p)
	default:
		if err = c.noArtifact(); err == nil {
			err = c.addAll(ctx, c.args[1:], p)
		}
	}
	if err != nil {
		return err
	}
	return c.printID()
}

// addArtifact adds the files that are the other arguments to the list.
func (c call) addArtifact(ctx context.Context, p image.Platform) error {
	if c.flags.yes("all") {
		return errors.New("manifest add: --all is about images, not about --artifact")
	}
	r, err := c.registry()
	if err != nil {
		return fmt.Errorf("manifest add: %w", err)
	}
	f := c.flags
	add := image.ArtifactAddition{
		Files: c.args[1:], FileType: f.text("artifact-layer-type"), Config: f.text("artifact-config"), ConfigType: f.text("artifact-config-type"),
		Subject: f.text("artifact-subject"), ExcludeTitles: f.yes("artifact-exclude-titles"), Platform: p, Registry: r,
	}
	if t := f.text("artifact-type"); f.set.Changed("artifact-type") {
		add.Type = &t
	}
	_, err = c.images.AddArtifactToList(ctx, c.args[0], add)
	return err
}

// noArtifact refuses what is said about an artifact that is none.
func (c call) noArtifact() error {
	var err error
	c.flags.set.Visit(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, "artifact-") && err == nil {
			err = fmt.Errorf("manifest add: --%s is about files that are added with --artifact", f.Name)
		}
	})
	return err
}

func (c call) printID() error {
	id, err := c.images.ID(c.args[0])
	if err == nil {
		fmt.Fprintln(c.Out, id)
	}
	return err
}

// listPlatform is what the flags say of an image in a list.
func (c call) listPlatform() (image.Platform, error) {
	annotations, err := pairs("annotation", c.flags.texts("annotation"))
	p := image.Platform{
		OS: c.flags.text("os"), Arch: c.flags.text("arch"), Variant: c.flags.text("variant"), OSVersion: c.flags.text("os-version"), Annotations: annotations,
	}
	if f := c.flags.text("os-features"); f != "" {
		p.OSFeatures = strings.Split(f, ",")
	}
	return p, err
}

// pairs reads KEY=VALUE.
func pairs(flag string, texts []string) (map[string]string, error) {
	all := map[string]string{}
	for _, t := range texts {
		k, v, found := strings.Cut(t, "=")
		if !found || k == "" {
			return nil, fmt.Errorf("--%s %s: write it as KEY=VALUE", flag, t)
		}
		all[k] = v
	}
	return all, nil
}

func runManifestAnnotate(ctx context.Context, c call) error {
	p, err := c.listPlatform()
	if err != nil {
		return fmt.Errorf("manifest annotate: %w", err)
	}
	switch {
	case c.flags.yes("index") && len(c.args) > 1:
		return errors.New("manifest annotate: --index is about the list itself: name no image with it")
	case c.flags.yes("index"):
		_, err = c.images.AnnotateIndex(ctx, c.args[0], image.IndexChange{Annotations: p.Annotations, Subject: c.flags.text("subject")})
	case c.flags.text("subject") != "":
		return errors.New("manifest annotate: --subject is about the list itself: give --index, and name no image with it")
	case len(c.args) < 2:
		return errors.New("manifest annotate: name the image in the list, or give --index")
	default:
		_, err = c.images.AnnotateList(c.args[0], c.args[1], p)
	}
	if err != nil {
		return err
	}
	return c.printID()
}

func runManifestRemove(_ context.Context, c call) error {
	if _, err := c.images.RemoveFromList(c.args[0], c.args[1]); err != nil {
		return err
	}
	return c.printID()
}

// A shownList is a list as Podman prints it: an index with the size of an image before its digest.
type shownList struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Manifests     []shownImage      `json:"manifests"`
	Subject       *shownImage       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

type shownImage struct {
	MediaType    string             `json:"mediaType"`
	Size         int64              `json:"size"`
	Digest       digest.Digest      `json:"digest"`
	Platform     imgspecv1.Platform `json:"platform"` // always there, empty for an artifact
	URLs         []string           `json:"urls,omitempty"`
	Annotations  map[string]string  `json:"annotations,omitempty"`
	ArtifactType string             `json:"artifactType,omitempty"`
	Files        []string           `json:"files,omitempty"`
}

func shownDescriptor(d imgspecv1.Descriptor, files []string) shownImage {
	s := shownImage{MediaType: d.MediaType, Size: d.Size, Digest: d.Digest, URLs: d.URLs, Annotations: d.Annotations, ArtifactType: d.ArtifactType, Files: files}
	if d.Platform != nil {
		s.Platform = *d.Platform
	}
	return s
}

func runManifestInspect(ctx context.Context, c call) error {
	index, err := c.images.Index(c.args[0])
	if err == nil {
		files, err := c.images.ListFiles(c.args[0])
		if err != nil {
			return err
		}
		return c.printIndented(shown(index, files))
	}
	if !errors.Is(err, image.ErrMissing) {
		return err
	}
	r, err := c.registry()
	if err != nil {
		return fmt.Errorf("manifest inspect: %w", err)
	}
	raw, mime, err := c.images.RemoteManifest(ctx, c.args[0], r)
	if err != nil {
		return err
	}
	if !image.IsList(mime) {
		fmt.Fprintf(c.Err, "%s is no list of images, but the manifest of one image (%s)\n", c.args[0], mime)
		return c.printIndented(json.RawMessage(raw))
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return fmt.Errorf("read the list %s: %w", c.args[0], err)
	}
	index.MediaType = mime
	return c.printIndented(shown(index, nil))
}

func shown(index imgspecv1.Index, files map[digest.Digest][]string) shownList {
	s := shownList{SchemaVersion: index.SchemaVersion, MediaType: index.MediaType, Manifests: []shownImage{}, Annotations: index.Annotations}
	for _, m := range index.Manifests {
		s.Manifests = append(s.Manifests, shownDescriptor(m, files[m.Digest]))
	}
	if index.Subject != nil {
		subject := shownDescriptor(*index.Subject, nil)
		s.Subject = &subject
	}
	return s
}

func (c call) printIndented(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "    "); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.Out, out.String())
	return err
}

func runManifestPush(ctx context.Context, c call) error {
	o, err := pushOptions(c)
	if err == nil && o.Format == "v2s1" {
		err = errors.New("--format v2s1: this format has no lists: use oci or v2s2")
	}
	if err != nil {
		return fmt.Errorf("manifest push: %w", err)
	}
	dest := ""
	if len(c.args) > 1 {
		dest = c.args[1]
	}
	d, err := c.images.PushList(ctx, c.args[0], dest, image.ListPushOptions{PushOptions: o, Add: c.flags.texts("add-compression")})
	c.watch.end()
	if err != nil {
		return err
	}
	tell("push", "", c.args[len(c.args)-1])
	if err := c.writeDigest(d.String()); err != nil || !c.flags.yes("rm") {
		return err
	}
	_, err = c.images.RemoveList(c.args[0], image.RemoveOptions{Force: true})
	return err
}

func runManifestRm(_ context.Context, c call) error {
	return c.removeEach(func(name string) (image.Removed, error) {
		return c.images.RemoveList(name, image.RemoveOptions{Ignore: c.flags.yes("ignore")})
	})
}

func runManifestExists(_ context.Context, c call) error {
	there, err := c.images.ListExists(c.args[0])
	if err == nil && !there {
		return errQuiet
	}
	return err
}
