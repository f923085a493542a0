import type { SignInPage } from '../../../web/pages/sign-in.js'
import { pageAssets } from './assets.js'
import type { SignInDeps } from './signing-in.js'

/**
 * Whether a passkey alone signs in. Where operators come from an issuer it does not: whoever leaves the company loses
 * their account there, not their passkey. It then only shows again that somebody who is signed in is still there.
 */
export const passkeyAlone = ({ codeFlow }: Pick<SignInDeps, 'codeFlow'>): boolean =>
  codeFlow.offered().length === 0

/** The ways to sign in, or for somebody who has a session to show `again` that it is them. */
export function signInChoices(
  deps: Pick<SignInDeps, 'codeFlow' | 'console'>,
  { to, again }: { readonly to: string; readonly again: boolean },
): Omit<SignInPage, 'error'> {
  const { notice } = deps.console
  return {
    issuers: deps.codeFlow.offered().map((issuer) => ({
      name: issuer.replace(/^https?:\/\//, '').replace(/\/$/, ''),
      href: `/console/sign-in/start?${new URLSearchParams({ issuer, to, ...(again ? { again: '1' } : {}) })}`,
    })),
    passkey: again || passkeyAlone(deps),
    assets: pageAssets(),
    ...(notice === undefined ? {} : { notice }),
  }
}
