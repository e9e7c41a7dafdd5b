package inherit

const (
	sysPrctl            = 167
	sysSchedSetaffinity = 122
)
