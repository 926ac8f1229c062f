//go:build containers_image_openpgp

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	units "github.com/docker/go-units"

	"github.com/berth-pods/berth/engine/image"
)

func runArtifactPull(ctx context.Context, c call) error {
	r, err := c.registry()
	if err != nil {
		return fmt.Errorf("artifact pull: %w", err)
	}
	d, err := c.images.PullArtifact(ctx, c.args[0], image.PullOptions{
		AuthFile: r.AuthFile, CertDir: r.CertDir, User: r.User, Password: r.Password, TLSVerify: r.TLSVerify,
		Retry: c.flags.number("retry"), RetryDelay: c.flags.duration("retry-delay"), DecryptionKeys: c.flags.texts("decryption-key"),
	})
	c.watch.end()
	if err != nil {
		return err
	}
	fmt.Fprintln(c.Out, strings.TrimPrefix(d, "sha256:"))
	return nil
}

func runArtifactPush(ctx context.Context, c call) error {
	o, err := pushOptions(c)
	if err != nil {
		return fmt.Errorf("artifact push: %w", err)
	}
	dest := ""
	if len(c.args) > 1 {
		dest = c.args[1]
	}
	d, err := c.images.PushArtifact(ctx, c.args[0], dest, o)
	if err != nil {
		return err
	}
	return c.writeDigest(d.String())
}

func runArtifactAdd(ctx context.Context, c call) error {
	o := image.AddOptions{Type: c.flags.text("type"), FileType: c.flags.text("file-type"), Append: c.flags.yes("append"), Annotations: map[string]string{}}
	for _, a := range c.flags.texts("annotation") {
		key, value, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("artifact add: --annotation %s: write it as KEY=VALUE", a)
		}
		o.Annotations[key] = value
	}
	d, err := c.images.AddArtifact(ctx, c.args[0], c.args[1:], o)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.Out, strings.TrimPrefix(d, "sha256:"))
	return nil
}

// An artifactRow is what templates see.
type artifactRow struct{ Repository, Tag, Digest, Size string }

func runArtifactList(_ context.Context, c call) error {
	all, err := c.images.Artifacts()
	if err != nil {
		return err
	}
	var rows []any
	for _, a := range all {
		repository, tag := splitForList(a.Name)
		r := artifactRow{repository, tag, strings.TrimPrefix(a.Digest, "sha256:"), units.HumanSizeWithPrecision(float64(a.Size()), 3)}
		if !c.flags.yes("no-trunc") {
			r.Digest = shortID(r.Digest, false)
		}
		rows = append(rows, r)
	}
	format := c.flags.text("format")
	switch {
	case format == "json":
		return printJSON(c.Out, all)
	case c.flags.yes("quiet"):
		format = "{{.Digest}}"
	case format == "":
		format = "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.Size}}"
	}
	return printRows(c.Out, format, rows, artifactRow{}, c.flags.yes("noheading"))
}

func runArtifactInspect(_ context.Context, c call) error {
	a, err := c.images.Artifact(c.args[0])
	if err != nil {
		return err
	}
	if f := c.flags.text("format"); f != "json" && f != "" {
		return printInspected(c.Out, []any{a}, f)
	}
	return printJSON(c.Out, a)
}

func runArtifactRemove(ctx context.Context, c call) error {
	names := c.args
	if c.flags.yes("all") {
		if len(names) > 0 {
			return errors.New("artifact rm: --all takes no names")
		}
		all, err := c.images.Artifacts()
		if err != nil {
			return err
		}
		for _, a := range all {
			names = append(names, cmp.Or(a.Name, a.Digest)) // an older berth left some without a name
		}
	} else if len(names) == 0 {
		return errors.New("artifact rm: needs the name of an artifact, or --all")
	}
	var errs []error
	for _, n := range names {
		d, err := c.images.RemoveArtifact(ctx, n)
		if errors.Is(err, image.ErrNoArtifact) && c.flags.yes("ignore") {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(c.Out, strings.TrimPrefix(d, "sha256:"))
	}
	return errors.Join(errs...)
}

func runArtifactExtract(_ context.Context, c call) error {
	return c.images.ExtractArtifact(c.args[0], c.args[1], image.ExtractOptions{Digest: c.flags.text("digest"), Title: c.flags.text("title")})
}
