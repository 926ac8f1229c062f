package cli

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/image/verb"
)

// Command is what is to be told of a command. Manual pages and shell completion are made from it.
type Command struct {
	Name    string   // words as typed: "run", "quadlet list"
	Aliases []string // other spellings, whole: "quadlet ls"
	Usage   string   // the words after the name
	Summary string   // one line, without a capital or a full stop
	Text    string   // paragraphs with empty lines between them; may be empty
	Flags   []CommandFlag
	Group   bool // only there for the commands below it
}

// CommandFlag is a flag of a command.
type CommandFlag struct {
	Name, Short string
	Value       string // what the value is called; empty for a switch
	Default     string
	Doc         string
}

// Commands lists all commands in the order of --help, each followed by those below it, then those of berth-image.
func Commands() []Command {
	var list []Command
	for _, v := range verbs() {
		list = append(list, v.command())
		for _, sub := range v.Sub {
			c := sub.command()
			for i, a := range c.Aliases {
				c.Aliases[i] = v.Name + " " + a
			}
			list = append(list, c)
		}
	}
	for _, v := range verb.Table() {
		list = append(list, imageCommand(v))
	}
	return list
}

func (v Verb) command() Command {
	c := Command{
		Name: v.Name, Aliases: append([]string(nil), v.Aliases...), Usage: v.Usage, Summary: v.Summary,
		Text: strings.TrimSpace(v.Text), Group: len(v.Sub) > 0,
	}
	if v.Flags == nil {
		return c
	}
	set := newFlagSet(v.Name)
	v.Flags(set)
	set.VisitAll(func(f *pflag.Flag) {
		value, doc := pflag.UnquoteUsage(f)
		flag := CommandFlag{Name: f.Name, Short: f.Shorthand, Value: value, Doc: strings.ReplaceAll(doc, " ("+value+")", "")}
		switch {
		case f.NoOptDefVal != "":
			flag.Value = ""
			if f.DefValue == "true" {
				flag.Default = "true"
			}
		case f.DefValue != "" && f.DefValue != "0" && f.DefValue != "-1" && f.DefValue != "[]":
			flag.Default = f.DefValue
		}
		c.Flags = append(c.Flags, flag)
	})
	return c
}

// imageCommand brings a row of berth-image into the same form.
func imageCommand(v verb.Verb) Command {
	c := Command{Name: v.Name, Aliases: v.Aliases, Usage: v.Args, Summary: lowerFirst(strings.TrimSuffix(v.Doc, "."))}
	if len(v.Flags) > 0 {
		c.Usage = strings.TrimSpace("[OPTION…] " + v.Args)
	}
	for _, f := range v.Flags {
		if f.Kind != verb.Unoffered {
			c.Flags = append(c.Flags, CommandFlag{Name: f.Name, Short: f.Short, Value: f.Value, Default: f.Default, Doc: f.Doc})
		}
	}
	return c
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }
