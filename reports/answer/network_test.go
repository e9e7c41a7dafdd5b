package answer

import (
	"testing"

	"isoperf/reports/plot/specimen"
)

func TestNetwork(t *testing.T) { golden(t, "network", printed(t, specimen.Network(6), Options{})) }
