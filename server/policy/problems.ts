import { distance } from 'fastest-levenshtein'

/** Stable names of everything that can be wrong with a policy set. docs/policy.md lists them. */
export const PROBLEM_CODES = {
  not_accepted: 'The policy compiles, and the broker cannot put it into service.',
  folder_unreadable: 'The folder, or a file in it, cannot be read, or holds no policy.',
  file_too_large: 'A file, or the folder as a whole, is larger than a policy can sensibly be.',
  symlink_outside: 'A symbolic link leads out of the policy folder.',
  yaml_syntax: 'The text is not YAML, or uses a part of YAML that is not read here.',
  yaml_duplicate_key: 'A key stands twice in one mapping; which one counts would be a guess.',
  yaml_alias: 'Too many aliases: expanding them could exhaust memory.',
  kind_unknown: 'The first key of a document names its kind, and this is none.',
  key_unknown: 'A key that this kind of document does not have.',
  field_missing: 'A required field is missing or empty.',
  field_type: 'A value of another type, often a number that wants quotes.',
  field_invalid: 'A value of the right type that is not allowed.',
  name_duplicate: 'Two documents of one kind have the same name.',
  environment_unknown: 'A name that no environment document has.',
  scope_unknown: 'A name that no scope document has.',
  operator_unknown: 'A name that no operator document has, or one who could not decide there.',
  issuer_unknown: 'An issuer without an issuer document for this side.',
  audience_mismatch: 'An agent names another audience than the issuer document.',
  audience_shared: "One audience for agents and operators: an agent's token would verify as an operator's.",
  url_insecure: 'A URL that is neither https nor http on loopback.',
  session_loosened: 'A session longer than what it may tighten.',
  limit_loosened: 'An agent that may go faster than its environment allows.',
  approvals_loosened: 'Fewer approvals than the tier demands, or approvals where nobody is asked.',
  break_glass_invalid: 'Breaking the glass outside production, or for longer than an hour.',
  delete_not_allowed: 'Deleting where the tier does not know it.',
  action_invalid: 'Not `service:Action`, or a wildcard where none is allowed.',
  action_unknown: 'An action or pattern that nothing in the IAM data matches.',
  red_line: 'The scope reaches an action that no agent session may ever hold.',
  resource_invalid: 'Not an ARN template that can be rendered.',
  resource_too_wide: 'A wildcard where it reaches too far.',
  account_foreign: 'A scope names the account of another environment than the one it is used in.',
  condition_unknown: 'A condition operator or key that does not exist.',
  condition_invalid: 'A condition value that cannot be evaluated.',
  scope_too_large: 'A scope that alone does not fit into a session policy.',
  matcher_missing: 'An identity without a matcher: every token of the issuer would fit.',
  matcher_invalid: 'A matcher that does not compare literally, or a prefix that does not end at a delimiter.',
  role_invalid: 'Not the ARN of one IAM role.',
  role_account: "A role in another account than its environment's.",
  role_conflict: 'One role for reading and writing, or in two environments.',
  role_missing: 'No role for a kind of scope that the agent has.',
  identity_overlap: 'A token could match both documents.',
  network_invalid: 'Not a CIDR block, or one that covers everything.',
  entry_kind_unknown: 'A webhook asks for a kind of entry that there is not.',
  alias_conflict: 'One human name for two operators.',
  naming_conflict: 'Groups of operators that would give one person two names, or two people one.',
} as const

export type ProblemCode = keyof typeof PROBLEM_CODES

/** Where something is wrong, what, and the nearest right spelling where one exists. Line and column count from 1. */
export interface Problem {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly code: ProblemCode
  /** One or more whole sentences. */
  readonly message: string
}

export const formatProblem = ({ file, line, column, code, message }: Problem): string =>
  `${file}:${line}:${column} ${message} [${code}]`

/** A stable order, so that two loads of one folder report alike. */
export const sortProblems = (problems: readonly Problem[]): readonly Problem[] =>
  [...problems].sort(
    (a, b) =>
      (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) ||
      a.line - b.line ||
      a.column - b.column ||
      (a.message < b.message ? -1 : 1),
  )

/** The candidate a human most likely meant, or undefined when none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const lower = word.toLowerCase()
  let best: string | undefined
  // Two letters (one swap) or a third of the word may be wrong: `prodction` finds production, `foo` not dev.
  let limit = Math.min(word.length, Math.max(2, Math.floor(word.length / 3)) + 1)
  for (const candidate of candidates) {
    const away = distance(lower, candidate.toLowerCase())
    if (away < limit) {
      limit = away
      best = candidate
    }
  }
  return best
}

/** ` Did you mean "…"?` or, for a short list without a near one, what there is. Starts with a space, or is empty. */
export function suggest(word: string, candidates: Iterable<string>): string {
  const all = [...candidates]
  const near = nearest(word, all)
  if (near !== undefined) return ` Did you mean "${near}"?`
  if (all.length === 0 || all.length > 12) return ''
  return ` There is: ${all.join(', ')}.`
}
