//go:build !linux

package load

// Main does nothing: loads measure Linux.
func Main() {}
