import { createHash } from 'node:crypto'
import type { Database } from '../db/pool.js'
import { WritError } from '../errors.js'

/**
 * Sign-ins under way at an issuer. What one is about lies in a cookie of the browser that began it; the database has
 * two hashes. A cookie sealed with a key would need that key on every replica, and could be used again until it ran
 * out; a row makes it unalterable, good for one return within ten minutes, and holds nothing worth stealing.
 */
export interface SignInStates {
  /** Answers the cookie's value: secret, since it holds what redeems the code. */
  begin(state: string, content: object): Promise<string>
  /** Throws `WritError` sign_in_failed unless this cookie belongs to this state and neither was used. */
  take(state: string | undefined, cookie: string | undefined): Promise<object>
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

export function createSignInStates(database: Pick<Database, 'query'>): SignInStates {
  return {
    async begin(state, content) {
      const cookie = Buffer.from(JSON.stringify(content)).toString('base64url')
      await database.query('SELECT writ.sign_in_begin($1, $2)', [sha256(state), sha256(cookie)])
      return cookie
    },
    async take(state, cookie) {
      // Without a cookie the state is left alone: it may be somebody else's, who has not come back yet.
      if (state === undefined || cookie === undefined) throw notBegun()
      const [row] = await database.query<{ taken: boolean }>('SELECT writ.sign_in_take($1, $2) AS taken', [
        sha256(state),
        sha256(cookie),
      ])
      if (row?.taken !== true) throw notBegun()
      // Ours, byte for byte: its hash was in the row.
      return JSON.parse(Buffer.from(cookie, 'base64url').toString('utf8')) as object
    },
  }
}

const notBegun = () =>
  new WritError(
    'sign_in_failed',
    'This sign-in was not begun in this browser, was finished already, or took longer than ten minutes.',
  )
