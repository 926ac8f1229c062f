package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/store"
)

func secretVerb() Verb {
	return Verb{
		Name: "secret", Usage: "COMMAND", Summary: "make, list and remove secrets",
		Text: `Secrets lie where Podman's do, and are shared with it. A container gets one by --secret, Secret= in a unit file. The
credentials of the unit (LoadCredential=, LoadCredentialEncrypted=, SetCredential=, ImportCredential= in [Service]) are
secrets too, and come first.`,
		Sub: []Verb{secretCreateVerb(), secretExistsVerb(), secretInspectVerb(), secretLsVerb(), secretRmVerb()},
		Run: func(context.Context, *Env, []string) error {
			return errors.New("name a command: `berth secret --help` lists them")
		},
	}
}

func secrets(env *Env) store.Secrets {
	return store.Secrets{Store: &store.Store{}, Run: env.Run, User: rootlessMode()}
}

type secretCreateOptions struct {
	driver               string
	options              []string
	labels               []string
	env, replace, ignore bool
}

func (o *secretCreateOptions) flags(set *pflag.FlagSet) {
	set.StringVarP(&o.driver, "driver", "d", "file", "`DRIVER` that keeps the value: "+strings.Join(store.SecretDrivers, ", "))
	set.StringArrayVar(&o.options, "driver-opts", nil, "`NAME=VALUE` for the driver")
	set.BoolVar(&o.env, "env", false, "the second word names a variable that holds the value")
	set.BoolVar(&o.ignore, "ignore", false, "a secret of that name is no error, and stays as it is")
	set.StringArrayVarP(&o.labels, "label", "l", nil, "add a label, `NAME=VALUE`")
	set.BoolVar(&o.replace, "replace", false, "give a secret of that name the new value")
}

func secretCreateVerb() Verb {
	var o secretCreateOptions
	return Verb{
		Name: "secret create", Usage: "[OPTION…] NAME FILE|-", Summary: "make a secret",
		Text: `The value is read from a file, or from standard input. The driver file keeps it in a file that only its owner can
read, but in the clear; systemd-creds keeps it encrypted by a key of this machine, in its TPM where there is one
(option key: as systemd-creds --with-key=); pass keeps it encrypted for a key of GnuPG (options root, key, gpghomedir);
shell calls commands (options store, lookup, delete, list; the ID is in $SECRET_ID).`,
		Flags: o.flags, Userns: namespaceNeeded, Run: runSecretCreate,
	}
}

func runSecretCreate(ctx context.Context, env *Env, args []string) error {
	var o secretCreateOptions
	set := newFlagSet("create")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() != 2 {
		return errors.New("name the secret and the file that holds its value, or -")
	}
	value, err := readSecret(env, set.Arg(1), o.env)
	if err != nil {
		return fmt.Errorf("value of secret %q: %w", set.Arg(0), err)
	}
	secret := store.Secret{
		Name: set.Arg(0), Driver: o.driver, DriverOptions: spec.Labels(o.options), Labels: spec.Labels(o.labels), UpdatedAt: time.Now().UTC(),
	}
	made, err := secrets(env).Create(ctx, secret, value, o.replace)
	if err != nil && !(o.ignore && errors.Is(err, store.ErrSecretExists)) {
		return err
	}
	_, err = fmt.Fprintln(env.Out, made.ID)
	return err
}

// readSecret reads a little more than is allowed, so that what is too long is seen.
func readSecret(env *Env, source string, variable bool) ([]byte, error) {
	const limit = 1 << 20
	if variable {
		value, ok := os.LookupEnv(source)
		if !ok {
			return nil, fmt.Errorf("there is no variable %s", source)
		}
		return []byte(value), nil
	}
	if source == "-" {
		return io.ReadAll(io.LimitReader(env.In, limit))
	}
	f, err := os.Open(source)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

func secretExistsVerb() Verb {
	return Verb{
		Name: "secret exists", Usage: "NAME", Summary: "end with 0 if there is such a secret, else with 1",
		Userns: namespaceNeeded,
		Run: func(_ context.Context, env *Env, args []string) error {
			if len(args) != 1 {
				return errors.New("name one secret")
			}
			_, err := secrets(env).Find(args[0])
			if errors.Is(err, engine.ErrNoSecret) {
				return &ExitError{Code: 1}
			}
			return err
		},
	}
}

type secretInspectOptions struct{ pretty, show bool }

func (o *secretInspectOptions) flags(set *pflag.FlagSet) {
	set.BoolVar(&o.pretty, "pretty", false, "print lines for people instead of JSON")
	set.BoolVar(&o.show, "showsecret", false, "show the value too")
}

func secretInspectVerb() Verb {
	var o secretInspectOptions
	return Verb{
		Name: "secret inspect", Usage: "[OPTION…] NAME…", Summary: "show what is known of secrets, as JSON; not their values",
		Flags: o.flags, Userns: namespaceNeeded, Run: runSecretInspect,
	}
}

// inspectedSecret has the names of Podman's `secret inspect`.
type inspectedSecret struct {
	ID        string
	CreatedAt time.Time
	UpdatedAt time.Time
	Spec      struct {
		Name   string
		Driver struct {
			Name    string
			Options map[string]string
		}
		Labels map[string]string
	}
	SecretData string `json:",omitempty"`
}

func runSecretInspect(ctx context.Context, env *Env, args []string) error {
	var o secretInspectOptions
	set := newFlagSet("inspect")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() == 0 {
		return errors.New("no secret is named")
	}
	list := []inspectedSecret{}
	var errs []error
	for _, name := range set.Args() {
		s, err := secrets(env).Find(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		i := inspectedSecret{ID: s.ID, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt}
		i.Spec.Name, i.Spec.Driver.Name, i.Spec.Driver.Options, i.Spec.Labels = s.Name, s.Driver, s.DriverOptions, s.Labels
		if o.show {
			value, err := secrets(env).Value(ctx, s.ID)
			if err != nil {
				errs = append(errs, fmt.Errorf("secret %q: %w", s.Name, err))
				continue
			}
			i.SecretData = string(value)
		}
		list = append(list, i)
	}
	if o.pretty {
		for _, i := range list {
			printSecret(env.Out, i)
		}
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, printJSON(env.Out, list))...)
}

func printSecret(w io.Writer, i inspectedSecret) {
	fmt.Fprintf(w, "ID:              %s\nName:            %s\n", i.ID, i.Spec.Name)
	if len(i.Spec.Labels) > 0 {
		fmt.Fprintln(w, "Labels:")
		for _, name := range spec.SortedKeys(i.Spec.Labels) {
			fmt.Fprintf(w, " - %s=%s\n", printable(name), printable(i.Spec.Labels[name]))
		}
	}
	fmt.Fprintf(w, "Driver:          %s\nCreated at:      %s\nUpdated at:      %s\n", i.Spec.Driver.Name, i.CreatedAt, i.UpdatedAt)
	if i.SecretData != "" {
		fmt.Fprintf(w, "Secret:          %s\n", i.SecretData)
	}
}

type secretLsOptions struct {
	filters          []string
	quiet, noHeading bool
}

func (o *secretLsOptions) flags(set *pflag.FlagSet) {
	set.StringArrayVarP(&o.filters, "filter", "f", nil, "list those only for which `KEY=VALUE` is true; the keys are name, id and driver")
	set.BoolVarP(&o.noHeading, "noheading", "n", false, "print no heading")
	set.BoolVarP(&o.quiet, "quiet", "q", false, "print IDs only")
}

func secretLsVerb() Verb {
	var o secretLsOptions
	return Verb{
		Name: "secret ls", Aliases: []string{"list"}, Usage: "[OPTION…]", Summary: "list secrets",
		Flags: o.flags, Userns: namespaceNeeded, Run: runSecretLs,
	}
}

func runSecretLs(_ context.Context, env *Env, args []string) error {
	var o secretLsOptions
	set := newFlagSet("ls")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	list, err := secrets(env).List()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(env.Out, 0, 8, 2, ' ', 0)
	if !o.quiet && !o.noHeading {
		fmt.Fprintln(table, "ID\tNAME\tDRIVER\tCREATED\tUPDATED")
	}
	for _, s := range list {
		wanted, err := o.wants(s)
		switch {
		case err != nil:
			return err
		case !wanted:
		case o.quiet:
			fmt.Fprintln(table, s.ID)
		default:
			fmt.Fprintf(table, "%s\t%s\t%s\t%s ago\t%s ago\n", s.ID, printable(s.Name), s.Driver, age(time.Since(s.CreatedAt)), age(time.Since(s.UpdatedAt)))
		}
	}
	return table.Flush()
}

func (o *secretLsOptions) wants(s store.Secret) (bool, error) {
	for _, f := range o.filters {
		key, value, _ := strings.Cut(f, "=")
		has := false
		switch key {
		case "name":
			has = strings.Contains(s.Name, value)
		case "id":
			has = strings.HasPrefix(s.ID, value)
		case "driver":
			has = s.Driver == value
		default:
			return false, fmt.Errorf("filter %q: known are name, id and driver", f)
		}
		if !has {
			return false, nil
		}
	}
	return true, nil
}

type secretRmOptions struct{ all, ignore bool }

func (o *secretRmOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.all, "all", "a", false, "remove all secrets")
	set.BoolVarP(&o.ignore, "ignore", "i", false, "a secret that is not there is no error")
}

func secretRmVerb() Verb {
	var o secretRmOptions
	return Verb{
		Name: "secret rm", Aliases: []string{"remove"}, Usage: "[OPTION…] NAME…", Summary: "remove secrets",
		Text:  "A container that runs keeps what it was given.",
		Flags: o.flags, Userns: namespaceNeeded, Run: runSecretRm,
	}
}

func runSecretRm(ctx context.Context, env *Env, args []string) error {
	var o secretRmOptions
	set := newFlagSet("rm")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	names := set.Args()
	if o.all {
		list, err := secrets(env).List()
		if err != nil {
			return err
		}
		for _, s := range list {
			names = append(names, s.ID)
		}
	} else if len(names) == 0 {
		return errors.New("no secret is named")
	}
	var errs []error
	for _, name := range names {
		s, err := secrets(env).Remove(ctx, name)
		switch {
		case err == nil:
			fmt.Fprintln(env.Out, s.ID)
		case !(o.ignore && errors.Is(err, engine.ErrNoSecret)):
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
