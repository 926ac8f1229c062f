//go:build containers_image_openpgp

package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"

	"github.com/berth-pods/berth/engine/image"
	"github.com/berth-pods/berth/engine/proc"
)

// which is the registry that an account verb is about.
func (c call) which(a *image.Accounts) (string, error) {
	if len(c.args) > 0 {
		return c.args[0], nil
	}
	return a.DefaultRegistry()
}

func runLogin(ctx context.Context, c call) error {
	a := image.OpenAccounts()
	key, err := c.which(a)
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	r, err := c.registry()
	if err != nil {
		return err
	}
	if c.flags.yes("get-login") {
		return c.printLogin(a, key, r)
	}
	if r.User, r.Password, err = c.account(ctx, a, key, r); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	where, err := a.Login(ctx, key, r)
	if err != nil {
		return err
	}
	if c.flags.yes("verbose") {
		fmt.Fprintln(c.Out, "Used: ", where)
	}
	fmt.Fprintln(c.Out, "Login Succeeded!")
	return nil
}

func (c call) printLogin(a *image.Accounts, key string, r image.Registry) error {
	user, err := a.User(key, r)
	if err == nil && user == "" {
		err = fmt.Errorf("%w to %s", image.ErrNotLoggedIn, key)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(c.Out, user)
	return nil
}

// account finds out user and password, by asking where somebody can be asked.
func (c call) account(ctx context.Context, a *image.Accounts, key string, r image.Registry) (user, password string, err error) {
	user, password = c.flags.text("username"), c.flags.text("password")
	if secret := c.flags.text("secret"); secret != "" {
		if password != "" || c.flags.yes("password-stdin") {
			return "", "", errors.New("--secret has the password: leave --password and --password-stdin out")
		}
		password, err = c.secret(ctx, secret)
		return cmp.Or(user, secret), password, err
	}
	if c.flags.yes("password-stdin") {
		if user == "" {
			return "", "", errors.New("--password-stdin needs --username too")
		}
		if password != "" {
			return "", "", errors.New("--password and --password-stdin cannot be given together")
		}
		data, err := io.ReadAll(io.LimitReader(c.In, 1<<20))
		return user, strings.TrimRight(string(data), "\r\n"), err
	}
	if user != "" && password != "" {
		return user, password, nil
	}
	if !c.terminal() {
		return "", "", errors.New("there is no terminal to ask for user and password: give --username and --password-stdin")
	}
	if user == "" {
		known, _ := a.User(key, r)
		fmt.Fprintf(c.Err, "Username (%s): ", known)
		typed, err := bufio.NewReader(c.In).ReadString('\n')
		if err != nil {
			return "", "", err
		}
		if user = strings.TrimSpace(typed); user == "" {
			user = known
		}
	}
	password, err = c.askPassword()
	return user, password, err
}

// secret asks berth, which knows the drivers, for the value of a secret.
func (c call) secret(ctx context.Context, name string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", err
	}
	out, err := proc.Run(ctx, proc.Command{Path: path, Args: []string{"secret", "inspect", "--showsecret", "--format", "{{.SecretData}}", "--", name}})
	if err != nil {
		return "", fmt.Errorf("--secret %s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}

func runLogout(_ context.Context, c call) error {
	a := image.OpenAccounts()
	r := image.Registry{AuthFile: c.flags.text("authfile"), CompatAuthFile: c.flags.text("compat-auth-file")}
	if c.flags.yes("all") {
		if len(c.args) > 0 {
			return errors.New("logout: --all takes no registry")
		}
		if err := a.Logout("", r); err != nil {
			return err
		}
		fmt.Fprintln(c.Out, "Removed login credentials for all registries")
		return nil
	}
	key, err := c.which(a)
	if err != nil {
		return fmt.Errorf("logout: %w", err)
	}
	if err := a.Logout(key, r); err != nil {
		return err
	}
	fmt.Fprintln(c.Out, "Removed login credentials for", key)
	return nil
}

func runSearch(ctx context.Context, c call) error {
	a := image.OpenAccounts()
	r, err := c.registry()
	if err != nil {
		return fmt.Errorf("search: %w", err)
	}
	limit := c.flags.number("limit")
	match, err := searchFilter(c.flags.texts("filter"))
	if err != nil {
		return fmt.Errorf("search: %w", err)
	}
	format := "table {{.Name}}\t{{.Description}}"
	if c.flags.yes("compatible") {
		format += "\t{{.Stars}}\t{{.Official}}\t{{.Automated}}"
	}
	find := a.Search
	if c.flags.yes("list-tags") {
		if len(c.flags.texts("filter")) > 0 {
			return errors.New("search: --filter is about what a search finds, and not about --list-tags")
		}
		find, format = a.Tags, "table {{.Name}}\t{{.Tag}}"
	}
	found, err := find(ctx, c.args[0], limit, r)
	if err != nil {
		return err
	}
	var rows []any
	list := []image.Found{}
	for _, f := range found {
		if !match(f) {
			continue
		}
		list = append(list, f)
		if d := []rune(f.Description); !c.flags.yes("no-trunc") && len(d) > 44 {
			f.Description = string(d[:44]) + "..."
		}
		rows = append(rows, f)
	}
	if f := c.flags.text("format"); f == "json" && c.flags.yes("list-tags") {
		return printJSON(c.Out, tagsOf(list))
	} else if f == "json" {
		return printJSON(c.Out, list)
	} else if f != "" {
		format = f
	}
	return printRows(c.Out, format, rows, image.Found{}, false)
}

// A tagged repository is what --list-tags shows as JSON.
type tagged struct {
	Name string
	Tags []string
}

func tagsOf(list []image.Found) []tagged {
	all := []tagged{}
	for _, f := range list {
		if n := len(all); n == 0 || all[n-1].Name != f.Name {
			all = append(all, tagged{Name: f.Name})
		}
		last := &all[len(all)-1]
		last.Tags = append(last.Tags, f.Tag)
	}
	return all
}

func runRemoteDigest(ctx context.Context, c call) error {
	r, err := c.registry()
	if err != nil {
		return err
	}
	d, err := image.OpenAccounts().Digest(ctx, c.args[0], r)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.Out, d)
	return nil
}

func searchFilter(filters []string) (func(image.Found) bool, error) {
	stars, want := 0, map[string]bool{}
	for _, f := range filters {
		key, value, _ := strings.Cut(f, "=")
		var err error
		switch key {
		case "stars":
			stars, err = strconv.Atoi(value)
		case "is-official", "is-automated":
			if value == "" {
				value = "true"
			}
			want[key], err = strconv.ParseBool(value)
		default:
			err = errors.New("there are stars, is-official and is-automated")
		}
		if err != nil {
			return nil, fmt.Errorf("filter %q: %w", f, err)
		}
	}
	return func(f image.Found) bool {
		official, askedOfficial := want["is-official"]
		automated, askedAutomated := want["is-automated"]
		return f.Stars >= stars && (!askedOfficial || official == (f.Official != "")) && (!askedAutomated || automated == (f.Automated != ""))
	}, nil
}
