import { sayInstant } from '../output.js'
import { type Block, code, type Inline, listed } from './blocks.js'
import type { Findings, ReachAnswer, Said } from './types.js'

/** From the rendered policies of its sessions: what it could have used, and when. */
export function whatItCould({ could, sessions }: Findings): readonly Block[] {
  const alive = sessions.filter((one) => one.alive)
  return [
    { kind: 'heading', level: 2, text: 'What it holds' },
    ...listed(
      ['Issuance', 'Environment', 'Account', 'Scopes', 'Access key', 'Dies by itself'],
      alive.map((one) => [
        code(one.issuance),
        one.environment,
        one.account,
        one.scopes.join(', '),
        one.access_key_id === null ? 'not known: no outcome' : code(one.access_key_id),
        sayInstant(one.dies_at),
      ]),
      'No session was alive by its own end when this was collected.',
    ),
    { kind: 'heading', level: 2, text: 'What it could reach' },
    {
      kind: 'text',
      text: ['By the session policies that were rendered for it, within the time each session lived:'],
    },
    ...listed(
      ['Environment', 'Account', 'Action', 'Resources', 'Sessions', 'From', 'Until'],
      could.map((one) => [
        one.environment,
        one.account,
        code(one.action),
        code(one.resources.join(' ')),
        String(one.sessions),
        sayInstant(one.from),
        sayInstant(one.until),
      ]),
      'Nothing: no session was minted, or their policies are erased.',
    ),
  ]
}

/** What it can do by the policy in force. */
export function couldNow({ reach, reach_missing }: Said): readonly Block[] {
  const title: Block = { kind: 'heading', level: 2, text: 'What policy lets it reach' }
  if (reach === null)
    return [
      title,
      { kind: 'text', text: [`Missing: the broker did not say (${reach_missing ?? 'no answer'}).`] },
    ]
  return [
    title,
    {
      kind: 'text',
      text: [`The broker said at ${sayInstant(reach.at)}, by policy `, code(reach.policy_digest), ':'],
    },
    ...reach.environments.flatMap((place): readonly Block[] => [
      { kind: 'heading', level: 3, text: `${place.environment} (${place.tier}, account ${place.account})` },
      ...listed(
        ['Action', 'Levels', 'Resources', 'How', 'At that moment'],
        place.permissions.map(permission),
        'Nothing.',
      ),
    ]),
  ]
}

function permission(one: ReachAnswer['environments'][number]['permissions'][number]): readonly Inline[] {
  const rest = one.more_resources > 0 ? ` and ${one.more_resources} more` : ''
  return [
    code(one.action),
    one.levels.join(', '),
    code(one.resources.join(' ') + rest),
    one.way === 'alone'
      ? 'without a human'
      : one.way === 'grant'
        ? `with a grant by ${one.approvals}`
        : 'never',
    one.now ? 'yes' : 'no',
  ]
}
