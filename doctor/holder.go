package doctor

func holderChecks() []check { return nil }
