package pytest

import "slices"

// Nearest returns up to n of the names that a misspelt one may have meant, the
// most alike first.
func Nearest(word string, names []string, n int) []string {
	cost := make(map[string]int, len(names))
	for _, name := range names {
		cost[name] = distance(word, name)
	}
	sorted := slices.Clone(names)
	slices.SortStableFunc(sorted, func(a, b string) int { return cost[a] - cost[b] })
	return sorted[:min(n, len(sorted))]
}

// distance is Levenshtein's, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := prev
			if a[i-1] != b[j-1] {
				cost = min(prev, row[j], row[j-1]) + 1
			}
			prev, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}
