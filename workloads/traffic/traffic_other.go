//go:build !linux

package traffic

import "isoperf/workloads/load"

// Kinds are none: loads measure Linux.
func Kinds() []load.Kind { return nil }
