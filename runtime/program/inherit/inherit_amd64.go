package inherit

const (
	sysPrctl            = 157
	sysSchedSetaffinity = 203
)
