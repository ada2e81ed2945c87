//go:build !linux

package process

import "syscall"

// childAttr keeps a terminal's Ctrl-C from the child: the drain comes first.
// Only Linux can tie the child's life to this program's.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
