//go:build !race

package program

// raceEnabled says that the race detector is on, which makes starts slow.
const raceEnabled = false
