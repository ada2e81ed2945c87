package process

import "syscall"

// childAttr makes the kernel end the child with this program, kill -9 included,
// and keeps a terminal's Ctrl-C from reaching it: the drain comes first.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
