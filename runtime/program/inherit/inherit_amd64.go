package inherit

const (
	sysPrctl            = 157
	sysSchedSetaffinity = 203
	sysSchedGetaffinity = 204
)
