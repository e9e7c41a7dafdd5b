package cgroup

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// check compares a parser's result, or the end of its error after "! ".
func check(t *testing.T, what, text, want, got string, err error) {
	t.Helper()
	if err != nil {
		got = "! " + err.Error()
		if !strings.Contains(got, fmt.Sprintf("%q", text)) {
			t.Errorf("%s(%q): the error %q does not quote it", what, text, got)
		}
	}
	if got != want && !(strings.HasPrefix(want, "! ") && strings.HasPrefix(got, "! ") && strings.HasSuffix(got, want[2:])) {
		t.Errorf("%s(%q) = %s, want %s", what, text, got, want)
	}
}

func TestParseCPU(t *testing.T) {
	for text, want := range map[string]string{
		"20%": "20000 100000", "20": "20000 100000", "200m": "20000 100000", "20000 100000": "20000 100000",
		"150%": "150000 100000", "0.2%": "2000 1000000", "1%": "1000 100000", "10m": "1000 100000", "1m": "1000 1000000",
		"max": "-1 100000", "max 50000": "-1 50000", " 12.5% ": "12500 100000", "1000 1000000": "1000 1000000",
		"0.2": "! is it 0.2 % of a CPU or 20 %? write 0.2% or 20%",
		"1.5": "! is it 1.5 % of a CPU or 150 %? write 1.5% or 150%",
		"999": "999000 100000", "1000%": "1000000 100000",
		"20000":           `! is it 20000 % of a CPU, or 20000 µs of each 100000 µs? write 20000% or "20000 100000"`,
		"-1":              "! it must be above 0; max is no limit",
		"0":               "! it must be above 0; max is no limit",
		"0%":              "! it must be above 0; max is no limit",
		"1000000000":      "! it is more than the kernel can count, 17592186044 µs in a period",
		"1e9":             `! it is not a number; write 20%, 200m or "20000 100000"`,
		"abc":             `! it is not a number; write 20%, 200m or "20000 100000"`,
		"":                `! it is not a number; write 20%, 200m or "20000 100000"`,
		"NaN":             `! it is not a number; write 20%, 200m or "20000 100000"`,
		"0x10":            `! it is not a number; write 20%, 200m or "20000 100000"`,
		"0.05%":           "! the kernel's least is 1 ms in a period of 1 s, 0.1%",
		"999 100000":      `! quota "999" is not from 1000 to 17592186044 µs, nor max`,
		"-1 100000":       `! quota "-1" is not from 1000 to 17592186044 µs, nor max`,
		"20000 999":       `! period "999" is not from 1000 to 1000000 µs`,
		"20000 1000001":   `! period "1000001" is not from 1000 to 1000000 µs`,
		"20000 100000 10": "! it is not a quota and a period in microseconds, such as 20000 100000",
	} {
		quota, period, err := ParseCPU(text)
		check(t, "ParseCPU", text, want, fmt.Sprintf("%d %d", quota, period), err)
	}
}

func TestParseSize(t *testing.T) {
	const notNumber = "! it is not a number with a suffix k, m, g or t"
	for text, want := range map[string]string{
		"512k": "524288", "64M": "67108864", "1.5g": "1610612736", "4096": "4096", "1000000000": "1000000000", "2T": "2199023255552",
		"64MiB": "67108864", "64mb": "67108864", "max": "-1", " 8k ": "8192",
		"-1": "! it must be above 0; max is no limit", "0": "! it must be above 0; max is no limit",
		"abc": notNumber, "": notNumber, "1e9": notNumber, "inf": notNumber, "k": notNumber, "1.2.3": notNumber, "1kk": notNumber,
		"64":       "! it is less than a page, 4096 bytes; did you mean 64M?",
		"4096.5":   "! it is not a whole number of bytes",
		"9000000t": "! it is more than the kernel can count; max is no limit",
	} {
		n, err := ParseSize(text)
		check(t, "ParseSize", text, want, fmt.Sprint(n), err)
	}
}

func TestParsePids(t *testing.T) {
	for text, want := range map[string]string{"1": "1", "4194304": "4194304", "max": "-1"} {
		n, err := ParsePids(text)
		check(t, "ParsePids", text, want, fmt.Sprint(n), err)
	}
	for _, text := range []string{"-1", "0", "1000000000", "4194305", "abc", "", "1.5", "1e9", "99999999999999999999"} {
		n, err := ParsePids(text)
		check(t, "ParsePids", text, "! it is not from 1 to 4194304, nor max", fmt.Sprint(n), err)
	}
}

func TestParseWeight(t *testing.T) {
	for text, want := range map[string]string{"1": "1", "100": "100", "10000": "10000"} {
		n, err := ParseWeight(text)
		check(t, "ParseWeight", text, want, fmt.Sprint(n), err)
	}
	for _, text := range []string{"-1", "0", "10001", "1000000000", "abc", ""} {
		n, err := ParseWeight(text)
		check(t, "ParseWeight", text, "! it is not from 1 to 10000", fmt.Sprint(n), err)
	}
}

func TestParseCPUs(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "0-3": "0-3", "3,1,2,8": "1-3,8", "0-1,1-2": "0-2", " 5 ": "5",
		"":           `! "" is not a number or range below 8192, such as 0-3`,
		"-1":         `! "-1" is not a number or range below 8192, such as 0-3`,
		"3-1":        `! "3-1" is not a number or range below 8192, such as 0-3`,
		"1000000000": `! "1000000000" is not a number or range below 8192, such as 0-3`,
		"abc":        `! "abc" is not a number or range below 8192, such as 0-3`,
		"0,,1":       `! "" is not a number or range below 8192, such as 0-3`,
		"0-8192":     `! "0-8192" is not a number or range below 8192, such as 0-3`,
	} {
		list, err := ParseCPUs(text)
		check(t, "ParseCPUs", text, want, list, err)
	}
}

func TestParseIOMax(t *testing.T) {
	for text, want := range map[string]string{
		"8:0 rbps=1M wiops=120":      "8:0 rbps=1048576 wiops=120",
		"8:16 rbps=max,wbps=1.5k":    "8:16 rbps=max wbps=1536",
		"8:0":                        "! it has no limit, such as rbps=1M",
		"8:0 rbps":                   "! rbps: it is not a number with a suffix k, m, g or t",
		"8:0 rbps=0":                 "! rbps: it must be above 0; max is no limit",
		"8:0 rbps=-1":                "! rbps: it must be above 0; max is no limit",
		"8:0 speed=1":                `! "speed" is not one of rbps, wbps, riops and wiops`,
		"abc":                        `! "abc" is not a device, such as 8:0 or /dev/sda`,
		"":                           `! "" is not a device, such as 8:0 or /dev/sda`,
		"/dev/null:rbps=1":           `! "/dev/null" is not a block device`,
		"/dev/isoperf-none:rbps=1":   `! look up device "/dev/isoperf-none": no such file or directory`,
		"-8:0 rbps=1":                `! "-8:0" is not a device, such as 8:0 or /dev/sda`,
		"8:0 rbps=99999999999999999": "8:0 rbps=99999999999999999",
	} {
		l, err := ParseIOMax(text)
		check(t, "ParseIOMax", text, want, l.String(), err)
	}
}

// TestParseIOMaxPath: a path is looked up.
func TestParseIOMaxPath(t *testing.T) {
	entries, _ := os.ReadDir("/dev")
	for _, e := range entries {
		var st unix.Stat_t
		if unix.Stat("/dev/"+e.Name(), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK {
			l, err := ParseIOMax("/dev/" + e.Name() + ":rbps=1m,wbps=2m")
			if want := fmt.Sprintf("%d:%d rbps=1048576 wbps=2097152", unix.Major(st.Rdev), unix.Minor(st.Rdev)); err != nil || l.String() != want {
				t.Errorf("%v, %v; want %s", l, err, want)
			}
			return
		}
	}
	require(t, false, "there is no block device in /dev")
}
