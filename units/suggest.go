package units

import "strings"

// Closest returns the candidate that a misspelt word most likely means, or "".
func Closest(word string, candidates []string) string {
	best, bestCost := "", len(word)/3+1
	if bestCost > 4 {
		bestCost = 4
	}
	lower := strings.ToLower(word)
	for _, c := range candidates {
		if diff := len(c) - len(word); diff >= bestCost || -diff >= bestCost {
			continue
		}
		if cost := editDistance(lower, strings.ToLower(c)); cost < bestCost {
			best, bestCost = c, cost
		}
	}
	return best
}

// maxWord is the length from which a word is not compared: no key is that long.
const maxWord = 40

// editDistance counts the insertions, deletions, changes and swaps of neighbours from a to b.
func editDistance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return maxWord
	}
	var rows [3][maxWord + 1]int
	prev2, prev, cur := &rows[0], &rows[1], &rows[2]
	for j := 0; j <= len(b); j++ {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

// hintForKey says where a key belongs, or which one was probably meant.
func hintForKey(k Kind, key string) string {
	if section := systemdSectionOf(key); section != "" {
		return key + "= belongs in [" + section + "]"
	}
	var names []string
	for _, row := range RowsOf(k) {
		if row.Trait != Old {
			names = append(names, row.Name)
		}
	}
	if meant := Closest(key, names); meant != "" {
		return "did you mean " + meant + "=?"
	}
	for _, other := range Kinds {
		if Lookup(other, key) != nil {
			return key + "= is a key of [" + other.String() + "]"
		}
	}
	if section := systemdSectionOf(Closest(key, strings.Fields(systemdServiceKeys))); section != "" {
		return "did you mean " + Closest(key, strings.Fields(systemdServiceKeys)) + "= in [" + section + "]?"
	}
	return ""
}
