import { html } from '../html.js'
import { type Assets, layout } from '../layout.js'

export interface SignInPage {
  /** Where to go for each issuer that operators sign in with. */
  readonly issuers: readonly { readonly name: string; readonly href: string }[]
  /** Whether a passkey may be used in place of an issuer. */
  readonly passkey: boolean
  readonly error?: { readonly code: string; readonly text: string }
  readonly assets: Assets
  readonly notice?: string
}

export const signInPage = ({ issuers, passkey, error, assets, notice }: SignInPage): string =>
  layout({
    title: 'Sign in',
    assets,
    width: 'reading',
    modules: passkey ? ['sign-in'] : [],
    ...(notice === undefined ? {} : { notices: [notice] }),
    body: html`<section class="panel">
<p>Here operators decide what agents may do. Signing in only lets you look: each decision is signed with your own key.</p>
${error !== undefined && html`<div class="problem" role="alert"><p>${error.text}</p><p class="small-text"><code>${error.code}</code></p></div>`}
${issuers.map(({ name, href }) => html`<a class="button" href="${href}">Sign in with ${name}</a>`)}
${
  passkey &&
  html`<div id="passkey" class="stack" hidden><button type="button" id="with-passkey">Sign in with a passkey</button></div>
<div id="said" role="status" aria-live="polite"></div>
<noscript><p>A passkey needs JavaScript.</p></noscript>
<p class="muted">No passkey here yet? Enrol one with the code you were given: <a href="/console/enrol">enrol a passkey</a>.</p>`
}
${issuers.length === 0 && !passkey && html`<p>No way to sign in is set up: an issuer for operators needs <code>sign_in</code> in its document.</p>`}
</section>`,
  })
