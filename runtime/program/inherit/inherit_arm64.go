package inherit

const (
	sysPrctl            = 167
	sysSchedSetaffinity = 122
	sysSchedGetaffinity = 123
)
