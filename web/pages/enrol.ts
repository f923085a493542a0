import { html } from '../html.js'
import { type Assets, layout } from '../layout.js'

export interface EnrolPage {
  readonly assets: Assets
  readonly notice?: string
}

/**
 * A first passkey, with a one-time code. Operator and code come in the fragment of the link, which no server and no
 * log ever sees, or are typed.
 */
export const enrolPage = ({ assets, notice }: EnrolPage): string =>
  layout({
    title: 'Enrol your passkey',
    assets,
    width: 'reading',
    modules: ['enrol'],
    ...(notice === undefined ? {} : { notices: [notice] }),
    body: html`<section class="panel">
<p>A passkey is the key you sign decisions with. It stays on your device or security key; you unlock it with your fingerprint, face or PIN.</p>
<form id="enrol" class="stack" hidden>
<div class="field"><label for="operator">Your name as an operator</label><input id="operator" name="operator" required maxlength="64" autocomplete="username" autocapitalize="none" spellcheck="false"></div>
<div class="field"><label for="code">One-time code</label><input id="code" name="code" class="mono" required maxlength="100" autocomplete="one-time-code" autocapitalize="none" spellcheck="false"></div>
<div class="field"><label for="label">Name of this key</label><input id="label" name="label" required maxlength="64" value="Passkey"><small>So that you know it again, such as “work laptop”.</small></div>
<button>Create a passkey</button>
</form>
<div id="said" role="status" aria-live="polite"></div>
<noscript><p class="problem">Creating a passkey needs JavaScript.</p></noscript>
</section>`,
  })
