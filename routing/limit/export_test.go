package limit

// Running is how many attempts run on the deployment here.
func (l *Limiter) Running(deployment string) int64 {
	if d := l.byID[deployment]; d != nil {
		return d.load.running.Load()
	}
	return 0
}
