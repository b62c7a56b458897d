package pool

// Unittest says what a session runs where there is no pytest: unittest's
// options, as python -m unittest and its discover have them.
type Unittest struct {
	Root     string   `json:"root"`     // ids are relative to it
	Where    []string `json:"where"`    // files, folders, ids and dotted names; none for discovery
	Start    string   `json:"start"`    // where discovery begins
	Pattern  string   `json:"pattern"`  // of file names
	Top      string   `json:"top"`      // the project's top folder, "" for Start
	Patterns []string `json:"patterns"` // of -k

	Verbosity int  `json:"verbosity"` // 0 quiet, 1, 2 verbose
	FailFast  bool `json:"failfast"`
	MaxFail   int  `json:"maxfail"` // stop behind so many, 0 for never
	Catch     bool `json:"catch"`
	Buffer    bool `json:"buffer"`
	Locals    bool `json:"locals"`
	Durations *int `json:"durations"` // how many slow tests are shown, 0 for all; nil for no list
}

// runs names what tests are run with, for the bootstrap.
func (s *Settings) runs() string {
	if s.Unittest != nil {
		return "unittest"
	}
	if s.Functions {
		return "functions"
	}
	return "pytest"
}
