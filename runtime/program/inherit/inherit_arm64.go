package inherit

const (
	sysMadvise          = 233
	sysPrctl            = 167
	sysSchedSetaffinity = 122
	sysSchedGetaffinity = 123
)
