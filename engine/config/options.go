package config

// Effect is what an option or ini key can change.
type Effect uint8

const (
	Nothing Effect = iota // neither of the others: what runs, where files go, logging
	IDs                   // which tests are collected, and their ids
	Order                 // their order
	Display               // how outcomes are shown
)

// option is one option of pytest's command line.
type option struct {
	names  []string
	arity  int // arguments it takes; -1: one, only behind "="
	effect Effect
}

// options are those of pytest 9.2's --help, and of older releases. A test
// holds the table to the installed pytest: a new option fails it.
var options = []option{
	{[]string{"-k"}, 1, IDs},
	{[]string{"-m"}, 1, IDs},
	{[]string{"--markers"}, 0, Nothing},
	{[]string{"-x", "--exitfirst"}, 0, Nothing},
	{[]string{"--maxfail"}, 1, Nothing},
	{[]string{"--strict-config"}, 0, Nothing},
	{[]string{"--strict-markers"}, 0, IDs}, // an unknown mark is a collection error
	{[]string{"--strict"}, 0, IDs},
	{[]string{"--fixtures", "--funcargs"}, 0, Nothing},
	{[]string{"--fixtures-per-test"}, 0, Nothing},
	{[]string{"--pdb"}, 0, Nothing},
	{[]string{"--pdbcls"}, 1, Nothing},
	{[]string{"--trace"}, 0, Nothing},
	{[]string{"--capture"}, 1, Display},
	{[]string{"-s"}, 0, Display},
	{[]string{"--runxfail"}, 0, Display},
	{[]string{"--lf", "--last-failed"}, 0, IDs},
	{[]string{"--ff", "--failed-first"}, 0, Order},
	{[]string{"--nf", "--new-first"}, 0, Order},
	{[]string{"--cache-show"}, -1, Nothing},
	{[]string{"--cache-clear"}, 0, Nothing},
	{[]string{"--lfnf", "--last-failed-no-failures"}, 1, IDs},
	{[]string{"--sw", "--stepwise"}, 0, IDs},
	{[]string{"--sw-skip", "--stepwise-skip"}, 0, IDs},
	{[]string{"--sw-reset", "--stepwise-reset"}, 0, IDs},
	{[]string{"--durations"}, 1, Display},
	{[]string{"--durations-min"}, 1, Display},
	{[]string{"-v", "--verbose"}, 0, Display},
	{[]string{"--no-header"}, 0, Display},
	{[]string{"--no-summary"}, 0, Display},
	{[]string{"--no-fold-skipped"}, 0, Display},
	{[]string{"--force-short-summary"}, 0, Display},
	{[]string{"-q", "--quiet"}, 0, Display},
	{[]string{"--verbosity"}, 1, Display},
	{[]string{"-r", "--report-chars"}, 1, Display},
	{[]string{"--disable-warnings", "--disable-pytest-warnings"}, 0, Display},
	{[]string{"-l", "--showlocals"}, 0, Display},
	{[]string{"--no-showlocals"}, 0, Display},
	{[]string{"--tb"}, 1, Display},
	{[]string{"--xfail-tb"}, 0, Display},
	{[]string{"--show-capture"}, 1, Display},
	{[]string{"--fulltrace", "--full-trace"}, 0, Display},
	{[]string{"--color"}, 1, Display},
	{[]string{"--code-highlight"}, 1, Display},
	{[]string{"--pastebin"}, 1, Nothing},
	{[]string{"--junitxml", "--junit-xml"}, 1, Nothing},
	{[]string{"--junitprefix", "--junit-prefix"}, 1, Nothing},
	{[]string{"-W", "--pythonwarnings"}, 1, Display},
	{[]string{"--max-warnings"}, 1, Display},
	{[]string{"--collectonly", "--collect-only", "--co"}, 0, Nothing},
	{[]string{"--pyargs"}, 0, IDs},
	{[]string{"--ignore"}, 1, IDs},
	{[]string{"--ignore-glob"}, 1, IDs},
	{[]string{"--deselect"}, 1, IDs},
	{[]string{"--confcutdir"}, 1, IDs},
	{[]string{"--noconftest"}, 0, IDs},
	{[]string{"--keepduplicates", "--keep-duplicates"}, 0, IDs},
	{[]string{"--collect-in-virtualenv"}, 0, IDs},
	{[]string{"--continue-on-collection-errors"}, 0, Nothing},
	{[]string{"--import-mode"}, 1, IDs},
	{[]string{"--doctest-modules"}, 0, IDs},
	{[]string{"--doctest-report"}, 1, Display},
	{[]string{"--doctest-glob"}, 1, IDs},
	{[]string{"--doctest-ignore-import-errors"}, 0, IDs},
	{[]string{"--doctest-continue-on-failure"}, 0, Display},
	{[]string{"-c", "--config-file"}, 1, IDs},
	{[]string{"--rootdir"}, 1, IDs},
	{[]string{"--basetemp"}, 1, Nothing},
	{[]string{"-V", "--version"}, 0, Nothing},
	{[]string{"-h", "--help"}, 0, Nothing},
	{[]string{"-p"}, 1, IDs},
	{[]string{"--disable-plugin-autoload"}, 0, IDs},
	{[]string{"--traceconfig", "--trace-config"}, 0, Nothing},
	{[]string{"--debug"}, -1, Nothing},
	{[]string{"-o", "--override-ini"}, 1, IDs},
	{[]string{"--assert"}, 1, Display},
	{[]string{"--setuponly", "--setup-only"}, 0, Display},
	{[]string{"--setupshow", "--setup-show"}, 0, Display},
	{[]string{"--setupplan", "--setup-plan"}, 0, Display},
	{[]string{"--log-level"}, 1, Display},
	{[]string{"--log-format"}, 1, Display},
	{[]string{"--log-date-format"}, 1, Display},
	{[]string{"--log-cli-level"}, 1, Display},
	{[]string{"--log-cli-format"}, 1, Display},
	{[]string{"--log-cli-date-format"}, 1, Display},
	{[]string{"--log-file"}, 1, Nothing},
	{[]string{"--log-file-mode"}, 1, Nothing},
	{[]string{"--log-file-level"}, 1, Nothing},
	{[]string{"--log-file-format"}, 1, Nothing},
	{[]string{"--log-file-date-format"}, 1, Nothing},
	{[]string{"--log-auto-indent"}, 1, Display},
	{[]string{"--log-disable"}, 1, Display},
	{[]string{"--result-log", "--resultlog"}, 1, Nothing}, // until 6
	{[]string{"--no-print-logs"}, 0, Display},             // until 5
}

// outcomeOptions are those, by their first names, with which the same tests end
// in another way.
var outcomeOptions = map[string]bool{
	"-W": true, "--max-warnings": true, "--runxfail": true, "--log-level": true, "--log-disable": true, "--assert": true,
	"--timeout": true, "--timeout-method": true, "--asyncio-mode": true, "--anyio-backends": true,
	"--hypothesis-profile": true, "--hypothesis-seed": true,
}

// pluginOptions are options of popular plugins that take an argument: needed
// to tell the argument from a path. Options that are unknown are taken to have
// none, as pytest's own parser does with what it does not know.
var pluginOptions = map[string]int{
	"-n": 1, "--numprocesses": 1, "--maxprocesses": 1, "--dist": 1, "--tx": 1, "--px": 1, "--rsyncdir": 1, "--rsyncignore": 1,
	"--max-worker-restart": 1, "--testrunuid": 1, "--maxschedchunk": 1, "-d": 0, "--distload": 0,
	"--cov": -1, "--cov-report": 1, "--cov-config": 1, "--cov-fail-under": 1, "--cov-context": 1, "--cov-append": 0, "--cov-branch": 0,
	"--no-cov": 0, "--no-cov-on-fail": 0,
	"--timeout": 1, "--timeout-method": 1, "--timeout-disable-debugger-detection": 0, "--session-timeout": 1,
	"--reruns": 1, "--reruns-delay": 1, "--only-rerun": 1, "--rerun-except": 1,
	"--randomly-seed": 1, "--randomly-dont-reorganize": 0, "--randomly-dont-reset-seed": 0,
	"--asyncio-mode": 1, "--anyio-backends": 1, "--hypothesis-profile": 1, "--hypothesis-seed": 1, "--hypothesis-verbosity": 1,
	"--ds": 1, "--dc": 1, "--create-db": 0, "--reuse-db": 0, "--no-migrations": 0, "--nomigrations": 0, "--migrations": 0,
	"--html": 1, "--css": 1, "--json-report-file": 1, "--report-log": 1, "--alluredir": 1, "--benchmark-storage": 1,
	"--benchmark-json": 1, "--benchmark-compare": -1, "--benchmark-save": 1, "--splits": 1, "--group": 1, "--durations-path": 1,
	"--count": 1, "--repeat-scope": 1, "--random-order-bucket": 1, "--random-order-seed": 1, "--forked": 0,
	"--flake-finder": 0, "--flake-runs": 1, "--mypy-ini-file": 1, "--nbval": 0, "--snapshot-update": 0, "--allow-hosts": 1,
	"--browser": 1, "--base-url": 1, "--driver": 1,
}

// iniKeys are pytest 9.2's ini keys, with what they can change, and those of
// older releases.
var iniKeys = map[string]Effect{
	"addopts": IDs, "minversion": Nothing, "required_plugins": Nothing, "pythonpath": IDs,
	"markers": IDs, "empty_parameter_set_mark": IDs, "strict_config": Nothing, "strict_markers": IDs, "strict": IDs,
	"filterwarnings": Display, "max_warnings": Display, "norecursedirs": IDs, "testpaths": IDs, "collect_imported_tests": IDs,
	"consider_namespace_packages": IDs, "usefixtures": IDs, "python_files": IDs, "python_classes": IDs, "python_functions": IDs,
	"disable_test_id_escaping_and_forfeit_all_rights_to_community_support": IDs, "strict_parametrization_ids": IDs,
	"parametrize_long_str_id_strategy": IDs, "console_output_style": Display, "verbosity_test_cases": Display,
	"strict_xfail": Display, "xfail_strict": Display, "tmp_path_retention_count": Nothing, "tmp_path_retention_policy": Nothing,
	"enable_assertion_pass_hook": Nothing, "truncation_limit_lines": Display, "truncation_limit_chars": Display,
	"assertion_text_diff_style": Display, "verbosity_assertions": Display, "junit_suite_name": Nothing, "junit_logging": Nothing,
	"junit_log_passing_tests": Nothing, "junit_duration_report": Nothing, "junit_family": Nothing, "doctest_optionflags": Display,
	"doctest_encoding": IDs, "cache_dir": Nothing, "log_level": Display, "log_format": Display, "log_date_format": Display,
	"log_cli": Display, "log_cli_level": Display, "log_cli_format": Display, "log_cli_date_format": Display, "log_file": Nothing,
	"log_file_mode": Nothing, "log_file_level": Nothing, "log_file_format": Nothing, "log_file_date_format": Nothing,
	"log_auto_indent": Display, "faulthandler_timeout": Nothing, "faulthandler_exit_on_timeout": Nothing,
	"verbosity_subtests": Display,
}

var byName = func() map[string]*option {
	m := map[string]*option{}
	for i := range options {
		for _, n := range options[i].names {
			m[n] = &options[i]
		}
	}
	return m
}()
