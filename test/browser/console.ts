import type { Browser, BrowserContext, Page } from 'playwright-core'
import type { Test } from 'tap'
import { asOwner } from '../../server/db/owner.js'
import { createEnrolmentCode } from '../../server/operators/codes.js'
import { startTestBroker, type TestBroker, type TestBrokerOptions } from '../support/broker.js'
import { silent } from '../support/postgres.js'
import { type Authenticator, addAuthenticator, troubles } from './support.js'

export interface BrowserConsole {
  readonly broker: TestBroker
  readonly origin: string
  /** Somebody at a browser of their own, with a passkey that they enrolled, signed in. */
  readonly enter: (browser: Browser, operator: string, options?: ContextOptions) => Promise<Human>
  /** A one-time code for an operator. */
  readonly code: (operator: string) => Promise<string>
}

type ContextOptions = Parameters<Browser['newContext']>[0]

export interface Human {
  readonly context: BrowserContext
  readonly page: Page
  readonly authenticator: Authenticator
  /** What went wrong in their pages. */
  readonly troubles: readonly string[]
}

/** A whole broker and its console. */
export async function startConsole(t: Test, options: TestBrokerOptions = {}): Promise<BrowserConsole> {
  const broker = await startTestBroker(t, options)
  const { origin } = broker

  const code = async (operator: string): Promise<string> => {
    const made = await asOwner(broker.sql.ownerUrl, silent, (owner) =>
      createEnrolmentCode(owner, { operator, by: 'the test', seconds: 600 }),
    )
    return made.code
  }
  return {
    broker,
    origin,
    code,
    enter: async (browser, operator, contextOptions) => {
      const context = await browser.newContext(contextOptions)
      const page = await context.newPage()
      const found = troubles(page)
      const authenticator = await addAuthenticator(page)
      const fragment = new URLSearchParams({ operator, code: await code(operator) })
      await page.goto(`${origin}/console/enrol#${fragment}`)
      await page.getByRole('button', { name: 'Create a passkey' }).click()
      await page.getByRole('link', { name: 'Sign in', exact: true }).click()
      await page.getByRole('button', { name: 'Sign in with a passkey' }).click()
      await page.waitForURL('**/console/requests')
      return { context, page, authenticator, troubles: found }
    },
  }
}
