//go:build !linux

package environment

// Read knows the platform and no more: nothing is measured here, only read.
func Read(string) (Environment, error) { return blank(), nil }
