package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

func completionVerb() Verb {
	return Verb{
		Name: "completion", Usage: "bash|zsh|fish", Summary: "print the completion script of a shell",
		Text: `Prints a script that completes commands and options, and paths elsewhere. For one session:

    source <(berth completion bash)

For all: put it into /usr/share/bash-completion/completions/berth, /usr/share/zsh/site-functions/_berth, or
/usr/share/fish/vendor_completions.d/berth.fish.`,
		Run: runCompletion,
	}
}

func runCompletion(_ context.Context, env *Env, args []string) error {
	set := newFlagSet("completion")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() != 1 {
		return errors.New("name one shell: bash, zsh or fish")
	}
	script, known := map[string]func([]Command) string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[set.Arg(0)]
	if !known {
		return fmt.Errorf("shell %q is none of bash, zsh and fish", set.Arg(0))
	}
	_, err := fmt.Fprint(env.Out, script(Commands()))
	return err
}

// spellings are the names under which a command can be typed.
func (c Command) spellings() []string { return append([]string{c.Name}, c.Aliases...) }

// subcommands lists, in order, the first words, and for each word that has further words below it those.
func subcommands(commands []Command) (first []Command, below map[string][]Command) {
	below = map[string][]Command{}
	seen := map[string]bool{}
	for _, c := range commands {
		for _, name := range c.spellings() {
			word, second, two := strings.Cut(name, " ")
			if !seen[word] {
				seen[word] = true
				top := c
				if top.Name = word; two {
					top = Command{Name: word, Summary: "more about " + word + "s", Group: true}
				}
				first = append(first, top)
			}
			if two {
				sub := c
				sub.Name = second
				below[word] = append(below[word], sub)
			}
		}
	}
	return first, below
}

func names(commands []Command) string {
	var list []string
	for _, c := range commands {
		list = append(list, c.Name)
	}
	return strings.Join(list, " ")
}

func flagWords(c Command) string {
	words := []string{"--help"}
	for _, f := range c.Flags {
		words = append(words, "--"+f.Name)
		if f.Short != "" {
			words = append(words, "-"+f.Short)
		}
	}
	return strings.Join(words, " ")
}

// bashCompletion offers words by what has been typed so far, and leaves paths to the shell.
func bashCompletion(commands []Command) string {
	first, below := subcommands(commands)
	var b strings.Builder
	fmt.Fprintf(&b, `# Completion of berth for bash(1).

_berth() {
	local cur=${COMP_WORDS[COMP_CWORD]} words
	case $COMP_CWORD in
	1) words='%s --help --version' ;;
`, names(first))
	b.WriteString("\t2)\n\t\tcase ${COMP_WORDS[1]} in\n")
	for _, c := range first {
		if subs := below[c.Name]; subs != nil {
			fmt.Fprintf(&b, "\t\t%s) words='%s --help' ;;\n", c.Name, names(subs))
		}
	}
	b.WriteString("\t\tesac ;;\n\tesac\n\tif [[ -z $words && $cur == -* ]]; then\n")
	b.WriteString("\t\tcase \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n")
	var single strings.Builder
	for _, c := range commands {
		for _, name := range c.spellings() {
			if strings.Contains(name, " ") {
				fmt.Fprintf(&b, "\t\t'%s') words='%s' ;;\n", name, flagWords(c))
			} else if !c.Group {
				fmt.Fprintf(&single, "\t\t'%s '*) words='%s' ;;\n", name, flagWords(c))
			}
		}
	}
	b.WriteString(single.String())
	b.WriteString("\t\tesac\n\tfi\n\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\n\ncomplete -o default -F _berth berth\n")
	return b.String()
}

// zshCompletion uses _describe for words and _arguments for options.
func zshCompletion(commands []Command) string {
	first, below := subcommands(commands)
	var b strings.Builder
	b.WriteString("#compdef berth\n# Completion of berth for zsh(1).\n\n_berth() {\n\tlocal -a words_here\n\tif (( CURRENT == 2 )); then\n\t\twords_here=(\n")
	describe := func(list []Command) {
		for _, c := range list {
			fmt.Fprintf(&b, "\t\t\t%s\n", shellQuote(c.Name+":"+c.Summary))
		}
		b.WriteString("\t\t)\n\t\t_describe command words_here\n\t\treturn\n\tfi\n")
	}
	describe(first)
	for _, c := range first {
		if subs := below[c.Name]; subs != nil {
			fmt.Fprintf(&b, "\tif (( CURRENT == 3 )) && [[ $words[2] == %s ]]; then\n\t\twords_here=(\n", c.Name)
			describe(subs)
		}
	}
	b.WriteString("\tcase \"$words[2] $words[3]\" in\n")
	var single strings.Builder
	for _, c := range commands {
		for _, name := range c.spellings() {
			if strings.Contains(name, " ") {
				fmt.Fprintf(&b, "\t(%s) shift 2 words; (( CURRENT -= 2 ))\n%s", shellQuote(name), zshArguments(c))
			} else if !c.Group {
				fmt.Fprintf(&single, "\t(%s' '*) shift words; (( CURRENT-- ))\n%s", shellQuote(name), zshArguments(c))
			}
		}
	}
	b.WriteString(single.String())
	b.WriteString("\t(*) _files ;;\n\tesac\n}\n\nif [[ $funcstack[1] == _berth ]]; then\n\t_berth \"$@\"\nelse\n\tcompdef _berth berth\nfi\n")
	return b.String()
}

func zshArguments(c Command) string {
	var b strings.Builder
	b.WriteString("\t\t_arguments '--help[show help]'")
	for _, f := range c.Flags {
		doc := strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`).Replace(f.Doc)
		value := ""
		if f.Value != "" {
			value = ":" + strings.NewReplacer(":", `\:`, "[", "", "]", "").Replace(f.Value) + ":_files"
		}
		for _, name := range flagNames(f) {
			fmt.Fprintf(&b, " \\\n\t\t\t%s", shellQuote("*"+name+"["+doc+"]"+value))
		}
	}
	b.WriteString(" \\\n\t\t\t'*:file:_files' ;;\n")
	return b.String()
}

func flagNames(f CommandFlag) []string {
	if f.Short == "" {
		return []string{"--" + f.Name}
	}
	return []string{"--" + f.Name, "-" + f.Short}
}

// fishCompletion writes a line for each word and option, with the condition under which it is offered.
func fishCompletion(commands []Command) string {
	first, below := subcommands(commands)
	var b strings.Builder
	b.WriteString(`# Completion of berth for fish(1).

function __berth_typed
	set -l words (commandline -opc)
	test "$words[2..]" = "$argv" -o "$words[2..3]" = "$argv" -o "$words[2]" = "$argv"
end

`)
	line := func(condition, rest, summary string) {
		fmt.Fprintf(&b, "complete -c berth -n %s %s -d %s\n", fishQuote(condition), rest, fishQuote(summary))
	}
	for _, c := range first {
		line("__fish_use_subcommand", "-f -a "+c.Name, c.Summary)
	}
	for _, c := range first {
		subs := below[c.Name]
		for _, sub := range subs {
			line("__berth_typed "+c.Name+"; and not __fish_seen_subcommand_from "+names(subs), "-f -a "+sub.Name, sub.Summary)
		}
	}
	for _, c := range commands {
		if c.Group {
			continue
		}
		for _, name := range c.spellings() {
			for _, f := range c.Flags {
				option := "-l " + f.Name
				if f.Short != "" {
					option += " -s " + f.Short
				}
				if f.Value != "" {
					option += " -r"
				}
				line("__berth_typed "+name, option, f.Doc)
			}
		}
	}
	return b.String()
}

// shellQuote is for words of sh and its like.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// fishQuote: inside single quotes fish reads \\ and \'.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
