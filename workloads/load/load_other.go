//go:build !linux

package load

// Kind is a load of another package; none is here.
type Kind struct{}

// Main does nothing: loads measure Linux.
func Main(...Kind) {}
