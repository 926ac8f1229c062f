//go:build containers_image_openpgp

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/image"
)

func runPush(ctx context.Context, c call) error {
	o, err := pushOptions(c)
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	dest := ""
	if len(c.args) > 1 {
		dest = c.args[1]
	}
	d, err := c.images.Push(ctx, c.args[0], dest, o)
	c.watch.end()
	if err != nil {
		return err
	}
	tell("push", "", c.args[len(c.args)-1])
	return c.writeDigest(d.String())
}

// writeDigest writes the file of --digestfile.
func (c call) writeDigest(d string) error {
	file := c.flags.text("digestfile")
	if file == "" {
		return nil
	}
	return atomicfile.WriteTo(file, []byte(d), 0o666)
}

func pushOptions(c call) (image.PushOptions, error) {
	f := c.flags
	r, err := c.registry()
	o := image.PushOptions{
		Registry: r, Format: f.text("format"), Compression: f.text("compression-format"), Level: f.given("compression-level"),
		CompressDir: f.yes("compress"), ForceCompression: f.yes("force-compression"), RemoveSignatures: f.yes("remove-signatures"), SigstoreKey: f.text("sign-by-sigstore-private-key"), SignBy: f.text("sign-by"),
		All: f.yes("all"), Retry: f.number("retry"), RetryDelay: f.duration("retry-delay"),
	}
	if err != nil {
		return o, err
	}
	if o.EncryptLayers, err = image.LayerNumbers(f.texts("encrypt-layer")); err != nil {
		return o, err
	}
	o.EncryptionKeys = f.texts("encryption-key")
	if o.SigstoreKey != "" && o.SignBy != "" {
		return o, errors.New("--sign-by and --sign-by-sigstore-private-key cannot be given together: sign once more with image sign")
	}
	if o.SigstoreKey == "" && o.SignBy == "" {
		return o, nil
	}
	if o.Passphrase, err = image.ReadSecret(f.text("sign-passphrase-file")); err != nil {
		return o, fmt.Errorf("--sign-passphrase-file: %w", err)
	}
	if o.SignBy != "" { // without a file gpg's agent asks
		return o, nil
	}
	if o.Passphrase == nil && c.terminal() {
		s, err := c.askPassword()
		o.Passphrase = []byte(s)
		return o, err
	}
	if o.Passphrase == nil {
		o.Passphrase = []byte{}
	}
	return o, nil
}

func runSave(ctx context.Context, c call) error {
	names := c.args
	o := image.SaveOptions{Format: c.flags.text("format"), Compress: c.flags.yes("compress"), Uncompressed: c.flags.yes("uncompressed")}
	if o.Compress && o.Format != "docker-dir" {
		return errors.New("save: --compress is for --format docker-dir")
	}
	if !c.flags.yes("multi-image-archive") {
		if err := sameImage(c, names); err != nil {
			return err
		}
	}
	if out := c.flags.text("output"); out != "" {
		err := c.images.Save(ctx, names, out, o)
		if err == nil {
			tell("save", "", strings.Join(names, ","))
		}
		return err
	}
	return c.saveToOutput(ctx, names, o)
}

// sameImage sees to it that all names are of one image, as without -m they mean further names of the first.
func sameImage(c call, names []string) error {
	first := ""
	for _, n := range names {
		d, err := c.images.ID(n)
		if err != nil {
			return err
		}
		if first != "" && d != first {
			return fmt.Errorf("save: %s is another image than %s: give -m to save both", n, names[0])
		}
		first = d
	}
	return nil
}

// saveToOutput writes to a temporary file first: the library wants a path.
func (c call) saveToOutput(ctx context.Context, names []string, o image.SaveOptions) (err error) {
	if o.Format != "docker-archive" && o.Format != "oci-archive" {
		return fmt.Errorf("save: --format %s writes a directory: say which with -o", o.Format)
	}
	if out, ok := c.Out.(*os.File); ok && term.IsTerminal(int(out.Fd())) {
		return errors.New("save: an archive is nothing for a terminal: give -o FILE, or send the output somewhere")
	}
	dir, err := os.MkdirTemp(image.BigFiles(), "berth-save-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := c.images.Save(ctx, names, dir+"/archive", o); err != nil {
		return err
	}
	f, err := os.Open(dir + "/archive")
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(c.Out, f)
	return err
}

func runImport(ctx context.Context, c call) error {
	o := image.ImportOptions{Message: c.flags.text("message"), Changes: c.flags.texts("change"), OS: c.flags.text("os"), Arch: c.flags.text("arch"), Variant: c.flags.text("variant")}
	if len(c.args) > 1 {
		o.Name = c.args[1]
	}
	if c.args[0] == "-" && c.terminal() {
		return errors.New("import: nothing to read: give a file, or the archive on standard input")
	}
	id, err := c.images.Import(ctx, c.args[0], c.In, o)
	c.watch.end()
	if err != nil {
		return err
	}
	tell("import", id, o.Name)
	fmt.Fprintln(c.Out, "sha256:"+id)
	return nil
}
