import { html } from '../html.js'
import { type Assets, layout, type Notice, type Viewer } from '../layout.js'

export interface ErrorPage {
  /** Stable code of the refusal, and what server/errors.ts says of it. */
  readonly code: string
  readonly title: string
  readonly detail: string
  readonly next: string
  /** Id of the HTTP request, for the operator of the broker. */
  readonly request?: string
  readonly viewer?: Viewer
  readonly notices?: readonly (string | Notice)[]
  readonly assets: Assets
}

/** A refusal, or a failure, that a human can act on. */
export const errorPage = (page: ErrorPage): string =>
  layout({
    title: page.title,
    ...(page.viewer === undefined ? {} : { viewer: page.viewer }),
    ...(page.notices === undefined ? {} : { notices: page.notices }),
    assets: page.assets,
    width: 'reading',
    body: html`<section class="panel danger">
<p class="sentence">${page.detail}</p>
<p><strong>What to do:</strong> ${page.next}</p>
<p class="muted small-text">Code <code>${page.code}</code>${page.request !== undefined && html`, request <code>${page.request}</code>`}</p>
</section>
<p class="row"><a class="button" href="/console/requests">Requests</a>${page.viewer === undefined && html`<a class="button" href="/console/sign-in">Sign in</a>`}</p>`,
  })
