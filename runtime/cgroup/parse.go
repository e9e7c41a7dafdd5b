package cgroup

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ParseCPU reads a CPU limit: "20%" or "20" of one CPU, "200m" (thousandths of
// a CPU), "20000 100000" (quota and period, as in cpu.max), "max". A bare number
// that may mean something else, "0.2" or "20000", is an error that asks. Both
// results are microseconds; a quota of -1 is no limit. A percentage whose quota would be
// less than the kernel's minimum of 1 ms gets a longer period than the usual
// 100 ms.
func ParseCPU(text string) (quota int64, period uint64, err error) {
	s := strings.TrimSpace(text)
	fail := func(why string, args ...any) (int64, uint64, error) {
		return 0, 0, fmt.Errorf("parse CPU limit %q: "+why, append([]any{text}, args...)...)
	}
	if strings.ContainsAny(s, " \t") || s == "max" {
		if quota, period, err = parseMax(s); err != nil {
			return fail("%w", err)
		}
		if period == 0 {
			period = defaultPeriod
		}
		return quota, period, nil
	}
	number, unit := s, 1.0 // percent
	if n, ok := strings.CutSuffix(s, "%"); ok {
		number = n
	} else if n, ok := strings.CutSuffix(s, "m"); ok {
		number, unit = n, 0.1
	}
	percent, err := decimal(number)
	switch {
	case err != nil:
		return fail("%w; write 20%%, 200m or \"20000 100000\"", err)
	case number == s && strings.Contains(s, "."):
		return fail("is it %s %% of a CPU or %s %%? write %s%% or %s%%", s, trim(percent*100), s, trim(percent*100))
	case percent <= 0:
		return fail("it must be above 0; max is no limit")
	}
	percent *= unit
	period = defaultPeriod
	if percent/100*defaultPeriod < minQuota {
		period = maxPeriod
	}
	us := math.Round(percent / 100 * float64(period))
	switch {
	case us < minQuota:
		return fail("the kernel's least is 1 ms in a period of 1 s, 0.1%%")
	case us > maxQuota:
		return fail("it is more than the kernel can count, %d µs in a period", int64(maxQuota))
	case number == s && percent >= minQuota: // it could be a quota
		return fail("is it %s %% of a CPU, or %s µs of each %d µs? write %s%% or \"%s %d\"", s, s, defaultPeriod, s, s, defaultPeriod)
	}
	return int64(us), period, nil
}

// parseMax reads the value of cpu.max: a quota or "max", and perhaps a period;
// 0: none is given.
func parseMax(text string) (quota int64, period uint64, err error) {
	word := strings.Fields(text)
	if len(word) < 1 || len(word) > 2 {
		return 0, 0, errors.New("it is not a quota and a period in microseconds, such as 20000 100000")
	}
	quota = -1
	if word[0] != "max" {
		if quota, err = strconv.ParseInt(word[0], 10, 64); err != nil || quota < minQuota || quota > maxQuota {
			return 0, 0, fmt.Errorf("quota %q is not from %d to %d µs, nor max", word[0], minQuota, int64(maxQuota))
		}
	}
	if len(word) == 2 {
		if period, err = strconv.ParseUint(word[1], 10, 64); err != nil || period < minPeriod || period > maxPeriod {
			return 0, 0, fmt.Errorf("period %q is not from %d to %d µs", word[1], minPeriod, maxPeriod)
		}
	}
	return quota, period, nil
}

// decimal reads digits with at most one point, and perhaps a sign: no
// exponents, infinities or hexadecimal, which strconv would take.
func decimal(s string) (float64, error) {
	if strings.Trim(strings.TrimPrefix(s, "-"), "0123456789.") != "" || !strings.ContainsAny(s, "0123456789") {
		return 0, errors.New("it is not a number")
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, errors.New("it is not a number")
	}
	return n, nil
}

func trim(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// ParseSize reads a size in bytes, with a binary suffix k, m, g or t ("512k",
// "64M", "1.5g", "64MiB"), or "max", which is -1.
func ParseSize(text string) (int64, error) {
	n, err := scaled(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("parse size %q: %w", text, err)
	case n == -1:
		return -1, nil
	case n < 4096:
		return 0, fmt.Errorf("parse size %q: it is less than a page, 4096 bytes; did you mean %sM?", text, strings.TrimSpace(text))
	}
	return n, nil
}

// scaled reads a number above 0 with a binary suffix; "max" is -1.
func scaled(text string) (int64, error) {
	s := strings.ToLower(strings.TrimSpace(text))
	if s == "max" {
		return -1, nil
	}
	s = strings.TrimSuffix(strings.TrimSuffix(s, "b"), "i")
	unit := 1.0
	if s != "" {
		if i := strings.IndexByte("kmgt", s[len(s)-1]); i >= 0 {
			unit = float64(int64(1) << (10 * (i + 1)))
			s = s[:len(s)-1]
		}
	}
	n, err := decimal(s)
	if whole, err := strconv.ParseInt(s, 10, 64); err == nil && unit == 1 && whole > 0 && whole < 1<<63-1<<16 {
		return whole, nil // exact, also where a float is not
	}
	switch n *= unit; {
	case err != nil:
		return 0, fmt.Errorf("%w with a suffix k, m, g or t", err)
	case n <= 0:
		return 0, errors.New("it must be above 0; max is no limit")
	case n >= 1<<63-1<<16:
		return 0, errors.New("it is more than the kernel can count; max is no limit")
	case n != math.Trunc(n) && unit == 1:
		return 0, errors.New("it is not a whole number of bytes")
	}
	return int64(n), nil
}

// ParsePids reads a number of tasks, 1 to 4194304 (PID_MAX_LIMIT), or "max",
// which is -1.
func ParsePids(text string) (int64, error) {
	if strings.TrimSpace(text) == "max" {
		return -1, nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 1 || n > maxPids {
		return 0, fmt.Errorf("parse pids limit %q: it is not from 1 to %d, nor max", text, maxPids)
	}
	return n, nil
}

// ParseWeight reads a cpu.weight or io.weight, 1 to 10000; 100 is the usual.
func ParseWeight(text string) (uint64, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 1 || n > 10000 {
		return 0, fmt.Errorf("parse weight %q: it is not from 1 to 10000", text)
	}
	return n, nil
}

// ParseCPUs reads a cpuset list, "0-3,8", and returns it sorted, with
// neighbours joined.
func ParseCPUs(text string) (string, error) {
	const most = 8192 // CONFIG_NR_CPUS of the largest distributions
	set := map[int]bool{}
	for item := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		low, high, ok := strings.Cut(item, "-")
		if !ok {
			high = low
		}
		from, err1 := strconv.ParseUint(low, 10, 16)
		to, err2 := strconv.ParseUint(high, 10, 16)
		if err1 != nil || err2 != nil || from > to || to >= most {
			return "", fmt.Errorf("parse CPU list %q: %q is not a number or range below %d, such as 0-3", text, item, most)
		}
		for n := from; n <= to; n++ {
			set[int(n)] = true
		}
	}
	list := make([]int, 0, len(set))
	for n := range set {
		list = append(list, n)
	}
	sort.Ints(list)
	var b strings.Builder
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(list[i]))
		if j > i {
			b.WriteString("-" + strconv.Itoa(list[j]))
		}
		i = j + 1
	}
	return b.String(), nil
}

// IOLimit is what io.max says of one device: rates per second, 0 where none
// was given and -1 for no limit.
type IOLimit struct {
	Major, Minor             int64
	RBps, WBps, RIOPS, WIOPS int64
}

func (l *IOLimit) field(key string) *int64 {
	switch key {
	case "rbps":
		return &l.RBps
	case "wbps":
		return &l.WBps
	case "riops":
		return &l.RIOPS
	case "wiops":
		return &l.WIOPS
	}
	return nil
}

// rate is a limit in version 1's terms, in which 0 is none; ok is false when
// it was not given.
func (l *IOLimit) rate(key string) (rate int64, ok bool) {
	n := *l.field(key)
	return max(n, 0), n != 0
}

// String is the line for io.max.
func (l IOLimit) String() string {
	s := fmt.Sprintf("%d:%d", l.Major, l.Minor)
	for _, key := range [...]string{"rbps", "wbps", "riops", "wiops"} {
		switch n := *l.field(key); {
		case n < 0:
			s += " " + key + "=max"
		case n > 0:
			s += fmt.Sprintf(" %s=%d", key, n)
		}
	}
	return s
}

// ParseIOMax reads a limit of a block device: "8:0 rbps=1M wiops=120", or
// "/dev/sda:rbps=1M,wbps=512k", for which it looks the device up. The kernel
// takes whole disks only, no partitions.
func ParseIOMax(text string) (IOLimit, error) {
	var l IOLimit
	fail := func(why string, args ...any) (IOLimit, error) {
		return IOLimit{}, fmt.Errorf("parse io limit %q: "+why, append([]any{text}, args...)...)
	}
	s := strings.TrimSpace(text)
	device, rest, ok := strings.Cut(s, " ")
	if strings.HasPrefix(s, "/") {
		device, rest, ok = strings.Cut(s, ":")
		var st unix.Stat_t
		if err := unix.Stat(device, &st); err != nil {
			return fail("look up device %q: %w", device, err)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFBLK {
			return fail("%q is not a block device", device)
		}
		l.Major, l.Minor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	} else {
		major, after, _ := strings.Cut(s, ":")
		if end := strings.IndexAny(after, ": "); end >= 0 { // "8:0 rbps=1M" or "8:0:rbps=1M"
			device, rest, ok = major+":"+after[:end], after[end+1:], true
		}
		major, minor, _ := strings.Cut(device, ":")
		a, err1 := strconv.ParseUint(major, 10, 12)
		b, err2 := strconv.ParseUint(minor, 10, 20)
		if err1 != nil || err2 != nil {
			return fail("%q is not a device, such as 8:0 or /dev/sda", device)
		}
		l.Major, l.Minor = int64(a), int64(b)
	}
	pairs := strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' || r == ',' })
	if !ok || len(pairs) == 0 {
		return fail("it has no limit, such as rbps=1M")
	}
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		to := l.field(key)
		if to == nil {
			return fail("%q is not one of rbps, wbps, riops and wiops", key)
		}
		n, err := scaled(value)
		if err != nil {
			return fail("%s: %w", key, err)
		}
		*to = n
	}
	return l, nil
}
