package reconcile

import (
	"fmt"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// moduleName is the module whose loads and unloads passes report.
const moduleName = "nf_conntrack"

// foundMessage returns which value was found, and who wrote it.
func foundMessage(e Event) string {
	switch {
	case e.By == nil:
		return fmt.Sprintf("%s was %s, wanted %s", e.Setting, e.Found, e.WantText())
	case e.Cause == CauseModuleLoad:
		return fmt.Sprintf("%s was %s after %s loaded the module, wanted %s", e.Setting, e.Found, e.By, e.WantText())
	default:
		return fmt.Sprintf("%s was set to %s by %s, wanted %s", e.Setting, e.Found, e.By, e.WantText())
	}
}

func driftMessage(e Event) string {
	text := foundMessage(e)
	switch e.Result {
	case ResultRepaired:
		text += fmt.Sprintf(": repaired in %s (cause: %s)", e.Duration, e.Cause)
	case ResultObserved:
		text += fmt.Sprintf(": not repaired, mode is observe (cause: %s)", e.Cause)
	default:
		text += fmt.Sprintf(": not repaired (cause: %s): %s", e.Cause, e.Error)
	}
	if e.Note != "" {
		text += "; " + e.Note
	}
	return text
}

func contestedMessage(writers []*sysfs.Writer) func(Event) string {
	who := "an unknown writer keeps changing it, or the kernel stores another value"
	switch len(writers) {
	case 0:
	case 1:
		who = writers[0].String() + " keeps changing it"
	default:
		who = writers[0].String() + " and " + writers[1].String() + " keep changing it"
	}
	return func(e Event) string {
		return fmt.Sprintf("%s is contested: %s, last to %s; wanted %s. "+
			"Repairs are delayed from now on, by %s at most",
			e.Setting, who, e.Found, e.WantText(), maxDelay)
	}
}

func settledMessage(drifts int, lasted time.Duration) func(Event) string {
	return func(e Event) string {
		return fmt.Sprintf("%s is no longer contested: it stays at %s; "+
			"%d changes by other writers in %s, none in the last %s",
			e.Setting, e.Found, drifts, lasted.Round(time.Second), settleAfter)
	}
}

func failedMessage(e Event) string {
	return foundMessage(e) + ": not written: " + e.Error
}

func unreadableMessage(e Event) string { return e.Setting + " cannot be read: " + e.Error }

func moduleMessage(e Event) string {
	text := moduleName + " was loaded"
	if e.Kind == KindModuleUnload {
		text = moduleName + " was unloaded"
	}
	if e.By != nil {
		text += " by " + e.By.String()
	}
	if e.Kind == KindModuleUnload {
		text += ": its settings do not exist until it is loaded again"
	}
	return text
}

func forbiddenMessage(group forbiddenGroup) func(Event) string {
	return func(e Event) string {
		return fmt.Sprintf("cannot enforce %s: %s; %s", strings.Join(e.SettingNames(), ", "), e.Error, group.remedy)
	}
}

func blockedWriteMessage(e Event) string {
	what, who := "a write", "an unknown process"
	if e.Value != "" {
		what = "a write of " + e.Value
	}
	if e.By != nil {
		who = e.By.String()
	}
	done, why := "refused", "the guard is locked"
	if e.Kind == KindAbsorbedWrite {
		done, why = "absorbed", "it succeeds and changes nothing"
	}
	text := fmt.Sprintf("%s: %s %s by %s: %s, wanted %s", e.Setting, done, what, who, why, e.WantText())
	if e.Note != "" {
		text += "; " + e.Note
	}
	return text
}
