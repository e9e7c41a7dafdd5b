package network

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// rule is one line of a table of iptables, as iptables-save(8) prints it and
// iptables-restore(8) reads it.
type rule struct{ table, line string }

// ruleComment is the comment of a container's rules; an empty ID: that of the
// bridge's own.
func ruleComment(id string) string {
	if id == "" {
		return bridgeLink
	}
	return bridgeLink + " " + id
}

// bridgeRules are those that all containers share. Forwarding among the host's
// other interfaces stays off when it was off before the bridge turned it on.
//
//   - raw: nothing from a container reaches the host's loopback addresses, which
//     route_localnet would let it.
//   - filter: containers reach each other and everybody else; from elsewhere only
//     answers and published ports lead to them. That a published port of the
//     host leads back to the bridge is no reason to redirect who called it.
//   - nat: outside, a container is the host. So it is to another container that
//     it calls through a published port, and so is the host's loopback.
func bridgeRules(subnet netip.Prefix, closed bool) []rule {
	comment := " -m comment --comment " + ruleComment("")
	rules := []rule{
		{"raw", "-I PREROUTING -i isoperf0 -d 127.0.0.0/8" + comment + " -j DROP"},
		{"filter", "-I FORWARD 1 -i isoperf0" + comment + " -j ACCEPT"},
		{"filter", "-I FORWARD 2 -o isoperf0 -m conntrack --ctstate RELATED,ESTABLISHED,DNAT" + comment + " -j ACCEPT"},
		{"filter", "-I FORWARD 3 -o isoperf0" + comment + " -j DROP"},
		{"filter", "-I OUTPUT -o isoperf0 -p icmp -m icmp --icmp-type redirect" + comment + " -j DROP"},
		{"nat", "-I POSTROUTING 1 -s " + subnet.String() + " ! -o isoperf0" + comment + " -j MASQUERADE"},
		{"nat", "-I POSTROUTING 2 -s " + subnet.String() + " -o isoperf0 -m conntrack --ctstate DNAT" + comment + " -j MASQUERADE"},
		{"nat", "-I POSTROUTING 3 -s 127.0.0.0/8 -o isoperf0" + comment + " -j MASQUERADE"},
	}
	if closed {
		rules = append(rules, rule{"filter", "-A FORWARD ! -i isoperf0 ! -o isoperf0" + comment + " -j DROP"})
	}
	return rules
}

// portRules lead the published ports to the container: for connections from
// elsewhere, and for the host's own.
func portRules(id string, to netip.Addr, ports []Port) []rule {
	var rules []rule
	for _, p := range ports {
		match := " -p " + p.Protocol
		if p.Host.IsValid() && !p.Host.IsUnspecified() {
			match += " -d " + p.Host.String()
		}
		match += fmt.Sprintf(" --dport %d -m addrtype --dst-type LOCAL -m comment --comment %q -j DNAT --to-destination %v:%d",
			p.HostPort, ruleComment(id), to, p.Container)
		rules = append(rules, rule{"nat", "-A PREROUTING" + match}, rule{"nat", "-A OUTPUT" + match})
	}
	return rules
}

// script is the rules as iptables-restore reads them: each table is changed at
// once or not at all.
func script(rules []rule) string {
	var b strings.Builder
	for _, table := range []string{"raw", "filter", "nat"} {
		if !slices.ContainsFunc(rules, func(r rule) bool { return r.table == table }) {
			continue
		}
		b.WriteString("*" + table + "\n")
		for _, r := range rules {
			if r.table == table {
				b.WriteString(r.line + "\n")
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

// applyRules changes the tables.
func applyRules(rules []rule) error {
	if len(rules) == 0 {
		return nil
	}
	_, err := runIptables(script(rules), restoreProgram, "--noflush", "--wait=10")
	return err
}

// deleteRules removes the rules with a comment.
func deleteRules(comment string) error {
	saved, err := runIptables("", saveProgram)
	if err != nil {
		return err
	}
	return applyRules(deletions(saved, comment))
}

// deletions are the rules that remove those with a comment from the tables
// that iptables-save has printed.
func deletions(saved, comment string) []rule {
	var rules []rule
	table := ""
	for line := range strings.Lines(saved) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "*"); ok {
			table = name
		}
		if rest, ok := strings.CutPrefix(line, "-A "); ok && hasComment(rest, comment) {
			rules = append(rules, rule{table, "-D " + rest})
		}
	}
	return rules
}

// hasComment looks for the comment, which is quoted where it has a space.
func hasComment(line, comment string) bool {
	return strings.Contains(line, ` --comment "`+comment+`" `) || !strings.Contains(comment, " ") && strings.Contains(line, " --comment "+comment+" ")
}

func runIptables(input, name string, args ...string) (string, error) {
	path, err := find(name, "iptables", "iptables")
	if err != nil {
		return "", err
	}
	var out, said bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &said
	// Or it might go on behind a runtime that was killed, and a Sweep.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(said.String()); text != "" {
			err = errors.New(text)
		}
		return "", fmt.Errorf("run %s: %w; does this kernel have nf_tables with nat, conntrack and comment? (modprobe nf_tables nft_compat xt_MASQUERADE)", name, err)
	}
	return out.String(), nil
}
