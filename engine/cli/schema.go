package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-pods/berth/units"
)

func schemaVerb() Verb {
	return Verb{
		Name: "schema", Usage: "[KIND]", Summary: "print the JSON schema of a kind of unit file for editors",
		Text: `Prints a JSON schema (draft 2020-12) of the sections and keys that a kind of unit file may have, with a line about each
key, for the completion and the checks of an editor. KIND is one of ` + strings.Join(kindWords(), ", ") + `,
with or without the dot before it. Without KIND it is one JSON object with the schemas of all kinds by their names.

    berth schema container > container.schema.json`,
		Run: runSchema,
	}
}

// kindWords are the kinds as one types them: "container".
func kindWords() []string {
	var list []string
	for _, k := range units.Kinds {
		list = append(list, strings.TrimPrefix(k.Extension(), "."))
	}
	return list
}

func runSchema(_ context.Context, env *Env, args []string) error {
	set := newFlagSet("schema")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 1 {
		return errors.New("name one kind, or none for all")
	}
	if set.NArg() == 0 {
		_, err := env.Out.Write(allSchemas())
		return err
	}
	i := slices.Index(kindWords(), strings.TrimPrefix(set.Arg(0), "."))
	if i < 0 {
		return fmt.Errorf("kind %q is none of %s", set.Arg(0), strings.Join(kindWords(), ", "))
	}
	_, err := env.Out.Write(units.AppendSchema(nil, units.Kinds[i]))
	return err
}

// allSchemas is one JSON object with a schema for each kind.
func allSchemas() []byte {
	buf := []byte{'{'}
	for i, word := range kindWords() {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = append(strconv.AppendQuote(buf, word), ':')
		buf = units.AppendSchema(buf, units.Kinds[i])
	}
	return append(buf, "}\n"...)
}
