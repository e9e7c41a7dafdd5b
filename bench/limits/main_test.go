package limits

import (
	"os"
	"testing"

	"isoperf/workloads/load"
)

// This program is its own load.
func TestMain(m *testing.M) {
	load.Main()
	os.Exit(m.Run())
}
