/** The only reader of the environment on the command line's side. */

export interface ClientEnvironment {
  readonly url?: string
  readonly token?: string
  readonly tokenFile?: string
  readonly operatorToken?: string
  readonly operatorTokenFile?: string
  /** As the broker reads it: `.writ` unless told. */
  readonly dataDir: string
  readonly policies?: string
}

/** Variables the command line itself reads, for its help and documents. */
export const CLIENT_VARIABLES: readonly (readonly [name: string, meaning: string])[] = [
  ['WRIT_URL', 'where the broker is'],
  ['WRIT_TOKEN_FILE, WRIT_TOKEN', 'your JWT: the file (read anew for each call) before the value'],
  ['WRIT_OPERATOR_TOKEN_FILE, WRIT_OPERATOR_TOKEN', "an operator's JWT; operators' verbs look here first"],
  ['WRIT_DATA_DIR', 'data folder of local mode, for --as and `writ dev`; default .writ'],
  ['WRIT_POLICIES', 'policy folder of the offline verbs; default: the example set that comes with Writ'],
]

/** An empty variable counts as absent: that is how shells and orchestrators unset one. */
export function clientEnvironment(env: NodeJS.ProcessEnv = process.env): ClientEnvironment {
  const given = <K extends string>(key: K, name: string): { readonly [P in K]?: string } =>
    (env[name] ? { [key]: env[name] } : {}) as { readonly [P in K]?: string }
  return {
    ...given('url', 'WRIT_URL'),
    ...given('token', 'WRIT_TOKEN'),
    ...given('tokenFile', 'WRIT_TOKEN_FILE'),
    ...given('operatorToken', 'WRIT_OPERATOR_TOKEN'),
    ...given('operatorTokenFile', 'WRIT_OPERATOR_TOKEN_FILE'),
    ...given('policies', 'WRIT_POLICIES'),
    dataDir: env.WRIT_DATA_DIR || '.writ',
  }
}

/** What a command that `writ exec` starts would inherit. */
export const inheritedEnvironment = (): NodeJS.ProcessEnv => ({ ...process.env })
