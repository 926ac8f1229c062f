package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
)

// confirmed asks before something is thrown away. No answer is no.
func confirmed(env *Env, what string) bool {
	fmt.Fprintf(env.Err, "%s Go on? [y/N] ", what)
	line, _ := bufio.NewReader(env.In).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

// confirmBefore asks before the user's namespace is entered, so that it is asked once. The question is "" when none is to be
// asked, or when the words are wrong, which the command itself says.
func confirmBefore(question func(args []string) string) func(context.Context, *Env, []string) error {
	return func(_ context.Context, env *Env, args []string) error {
		if os.Getenv("_CONTAINERS_USERNS_CONFIGURED") != "" {
			return nil
		}
		if q := question(args); q != "" && !confirmed(env, q) {
			return &ExitError{}
		}
		return nil
	}
}
