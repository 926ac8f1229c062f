package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
)

// counted is a row's name with a number of things in it: "generator, 1000 files".
var counted = regexp.MustCompile(`^(.*, )(\d+) ([a-z]+)$`)

// growth says how the time grows between the two largest numbers of the same things: 1 is as fast as their number, 0 is not at all.
func (r *report) growth() []string {
	type series struct{ name, side string }
	sizes := map[series][]float64{}
	medians := map[series][]float64{}
	var order []series
	for _, a := range r.Rows {
		m := counted.FindStringSubmatch(a.What)
		if m == nil || a.Wall.Median <= 0 {
			continue
		}
		n, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			continue
		}
		s := series{m[1] + m[3], a.Side}
		if sizes[s] == nil {
			order = append(order, s)
		}
		sizes[s], medians[s] = append(sizes[s], n), append(medians[s], a.Wall.Median)
	}
	var lines []string
	for _, s := range order {
		n, t := sizes[s], medians[s]
		last := len(n) - 1
		if last < 1 || n[last] <= n[last-1] {
			continue
		}
		exponent := math.Log(t[last]/t[last-1]) / math.Log(n[last]/n[last-1])
		lines = append(lines, fmt.Sprintf("%s, from %.0f to %.0f: %s %.2f", s.name, n[last-1], n[last], s.side, exponent))
	}
	return lines
}
