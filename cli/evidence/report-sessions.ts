import { sayInstant } from '../output.js'
import { type Block, byAgent, code, heading, listed } from './blocks.js'
import { allowed } from './could.js'
import type { Evidence, Session } from './types.js'

/** Every issuance with what it allowed: sessions that allow the same share one text. */
export function sessionBlocks({ proven: { sessions } }: Evidence): readonly Block[] {
  const policies = new Map<string, { readonly name: string; readonly statements: string; count: number }>()
  const policyOf = (one: Session): string => {
    if (one.session_policy === null) return '(erased)'
    const statements = JSON.stringify(allowed(one), null, 2)
    const known = policies.get(statements) ?? { name: `P${policies.size + 1}`, statements, count: 0 }
    known.count += 1
    policies.set(statements, known)
    return known.name
  }
  const rows = sessions.map((one) => [
    code(one.issuance),
    sayInstant(one.at),
    one.state,
    one.environment,
    one.scopes.join(', '),
    policyOf(one),
    code(one.grant),
    code(one.access_key_id),
    `${sayInstant(one.dies_at)}${one.revoked_at === null ? '' : ', revoked'}`,
    one.deliveries === 0 ? '-' : `${one.deliveries}, last ${sayInstant(one.last_delivered_at ?? '')}`,
    one.words?.human == null ? '-' : byAgent(`${one.words.human} (${one.words.human_how ?? '?'})`),
    one.words === null
      ? '(erased)'
      : byAgent([one.words.reason, one.words.ticket].filter((said) => said !== null).join(' / ') || null),
  ])
  return [
    heading(2, 'Everything it was issued'),
    ...listed(
      [
        'Issuance',
        'At',
        'State',
        'Environment',
        'Scopes',
        'Policy',
        'Grant',
        'Access key',
        'Dies',
        'Delivered again',
        'For',
        'Reason, ticket',
      ],
      rows,
      'Nothing.',
    ),
    ...[...policies.values()].flatMap(({ name, statements, count }): readonly Block[] => [
      heading(3, `${name}: what ${count === 1 ? 'one session' : `${count} sessions`} allowed`),
      { kind: 'code', text: statements },
    ]),
    {
      kind: 'text',
      text: [
        'Each policy also denies everything outside its regions and from the end of its session on; evidence.json has every one as it was rendered.',
      ],
    },
  ]
}
