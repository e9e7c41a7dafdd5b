package inherit

const (
	sysMadvise          = 28
	sysPrctl            = 157
	sysSchedSetaffinity = 203
	sysSchedGetaffinity = 204
)
