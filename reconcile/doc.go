// Package reconcile keeps the kernel's settings at their wanted values: one loop, one kind of
// pass.
//
//	event → observe → diff → apply → record
//
// An event (a uevent, a foreign write, a timer, a new configuration) wakes the loop with a reason.
// It never carries a value. A pass then reads the live value of every wanted
// setting, computes what differs (Diff, a pure function), writes only that, reads it back, and
// records each change. A second pass after any pass writes nothing.
//
// The package imports sysfs and nothing of configuration files, systemd or metrics. It calls
// them through three interfaces: Kernel, Hooks and Attributor.
//
// # The life of a setting
//
// Each pass computes the state of a setting from the result of the read:
//
//	read                            module   state        written?
//	satisfies the want              any      in-sync      no
//	does not satisfy it             any      drifted      yes, in mode enforce
//	no such file                    present  unsupported  no
//	no such file                    absent   pending      no
//	EACCES, EPERM, EROFS            any      forbidden    no
//	another error                   any      failed       no
//
// The write of a drifted setting then changes its state:
//
//	from       when                                               to
//	drifted    written, and the value read back satisfies         in-sync
//	drifted    the value read back does not satisfy               drifted, and another pass at once
//	drifted    the write fails: not permitted                     forbidden, until module or configuration change
//	drifted    the write fails: the file is gone                  pending, and another pass at once
//	drifted    the write fails otherwise                          failed, retried after 1 s, 2 s, … 5 min
//	drifted    more than 10 repairs in 10 s                       contested, repaired after 1 s, 2 s, … 30 s
//	contested  no drift for 10 s                                  in-sync
//	contested  its file is gone                                   pending or unsupported
//	any        the configuration changes the want                 as if seen for the first time
package reconcile
