package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/config"
	"github.com/berth-pods/berth/engine/events"
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
	conf, err := loadConfig()
	if err != nil {
		return err
	}
	secret := withDriver(store.Secret{
		Name: set.Arg(0), Driver: o.driver, DriverOptions: spec.Labels(o.options), Labels: spec.Labels(o.labels), UpdatedAt: time.Now().UTC(),
	}, set, conf)
	made, err := secrets(env).Create(ctx, secret, value, o.replace)
	if err == nil {
		events.Event{Type: "secret", What: []string{"create"}, ID: made.ID, Name: made.Name, Attributes: made.Labels}.Send()
	}
	if err != nil && !(o.ignore && errors.Is(err, store.ErrSecretExists)) {
		return err
	}
	_, err = fmt.Fprintln(env.Out, made.ID)
	return err
}

// withDriver takes the driver, and options for it, from containers.conf where none is named.
func withDriver(s store.Secret, set *pflag.FlagSet, conf config.Config) store.Secret {
	if set.Changed("driver") {
		return s
	}
	s.Driver = cmp.Or(conf.Secrets.Driver, s.Driver)
	if !set.Changed("driver-opts") && len(conf.Secrets.Opts) > 0 {
		s.DriverOptions = conf.Secrets.Opts
	}
	return s
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

type secretInspectOptions struct {
	pretty, show bool
	format       string
}

func (o *secretInspectOptions) flags(set *pflag.FlagSet) {
	set.StringVarP(&o.format, "format", "f", "json", "`FORM` of the output: json, or a template such as {{.Spec.Name}}")
	set.BoolVar(&o.pretty, "pretty", false, "print lines for people instead of JSON")
	set.BoolVar(&o.show, "showsecret", false, "show the value too")
}

func secretInspectVerb() Verb {
	var o secretInspectOptions
	return Verb{
		Name: "secret inspect", Usage: "[OPTION…] NAME…", Summary: "show what is known of secrets, as JSON; their values with --showsecret only",
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

func inspectSecret(s store.Secret) inspectedSecret {
	i := inspectedSecret{ID: s.ID, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt}
	i.Spec.Name, i.Spec.Driver.Name, i.Spec.Driver.Options, i.Spec.Labels = s.Name, s.Driver, s.DriverOptions, s.Labels
	return i
}

// secretRow is a secret in a list: templates may name its parts as Podman's do.
type secretRow struct {
	inspectedSecret
	Name, Driver string
}

// Fields are the columns.
func (r secretRow) Fields() map[string]any {
	return map[string]any{
		"Labels":    r.Spec.Labels,
		"CreatedAt": age(time.Since(r.CreatedAt)) + " ago", "UpdatedAt": age(time.Since(r.UpdatedAt)) + " ago",
	}
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
		i := inspectSecret(s)
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
	return errors.Join(append(errs, printInspected(env.Out, o.format, list))...)
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

type secretLsOptions struct{ listing }

func (o *secretLsOptions) flags(set *pflag.FlagSet) {
	o.listing.flags(set, "IDs", "name, id, driver, label")
	set.BoolVarP(&o.noHeading, "noheading", "n", false, "print no line of headings")
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
	set := newFlagSet("secret ls")
	o.flags(set)
	if err := parseAlone(set, args); err != nil {
		return err
	}
	list, err := secrets(env).List()
	if err != nil {
		return err
	}
	rows := make([]secretRow, 0, len(list))
	for _, s := range list {
		rows = append(rows, secretRow{inspectSecret(s), s.Name, s.Driver})
	}
	if rows, err = filtered(rows, o.filters, secretFilters()); err != nil {
		return err
	}
	return printList(env.Out, o.listing, rows, table[secretRow]{
		key: func(r secretRow) string { return r.ID }, headings: []string{"ID", "NAME", "DRIVER", "CREATED", "UPDATED"},
		names: map[string]string{"CreatedAt": "CREATED", "UpdatedAt": "UPDATED"},
		cells: func(r secretRow) []string {
			return []string{
				r.ID, printable(r.Spec.Name), r.Spec.Driver.Name, age(time.Since(r.CreatedAt)) + " ago", age(time.Since(r.UpdatedAt)) + " ago",
			}
		},
	})
}

func secretFilters() []filter[*secretRow] {
	return append([]filter[*secretRow]{
		nameFilter(func(r *secretRow) string { return r.Spec.Name }),
		textFilter("id", strings.HasPrefix, func(r *secretRow) string { return r.ID }),
		textFilter("driver", same, func(r *secretRow) string { return r.Spec.Driver.Name }),
	}, labelFilters(func(r *secretRow) map[string]string { return r.Spec.Labels })...)
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
		Text:    "A container that runs keeps what it was given.",
		Removes: true,
		Flags:   o.flags, Userns: namespaceNeeded, Run: runSecretRm,
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
			events.Event{Type: "secret", What: []string{"remove"}, ID: s.ID, Name: s.Name}.Send()
			fmt.Fprintln(env.Out, s.ID)
		case !(o.ignore && errors.Is(err, engine.ErrNoSecret)):
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
