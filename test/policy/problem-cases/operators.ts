import { type Case, change, good } from './case.js'

const GROUP = `operators: approvers
identity:
  issuer: https://login.example.com
  claims: { groups: { has: writ-approvers } }
name: { claim: sub }
roles: [approver]
teams: [platform]
approves: [prod]
approves_scopes: [orders:*]
`

const altered = (from: string, to: string): string => {
  if (!GROUP.includes(from)) throw new Error(`the group has no ${from}`)
  return GROUP.replace(from, to)
}

const group = (what: string, text: string, code: Case['code'], line: number, says: RegExp): Case => ({
  what,
  file: 'group.yaml',
  text,
  code,
  line,
  says,
})
const bob = (what: string, text: string, code: Case['code'], line: number, says: RegExp): Case => ({
  ...group(what, text, code, line, says),
  file: 'bob.yaml',
})

const second = (changes: readonly (readonly [string, string])[]): string =>
  `${GROUP}---\n${changes.reduce((text, [from, to]) => text.replace(from, to), altered('approvers', 'others'))}`

export const OPERATORS: readonly Case[] = [
  // --- one person
  bob(
    'a role that is none',
    change('bob.yaml', '[approver]', '[admn]'),
    'field_invalid',
    5,
    /Did you mean "admin"/,
  ),
  bob(
    'a group that is meant to be one person',
    change('bob.yaml', '{ sub: bob }', '{ groups: { has: bobs } }'),
    'matcher_invalid',
    4,
    /"operators" document/,
  ),
  bob(
    'an unknown scope to approve',
    `${good('bob.yaml')}approves_scopes: [orders:wirte]\n`,
    'scope_unknown',
    7,
    /Did you mean "orders:write"/,
  ),
  bob(
    'a beginning that no scope has',
    `${good('bob.yaml')}approves_scopes: [order:*]\n`,
    'scope_unknown',
    7,
    /No scope begins with "order:". Did you mean "orders:\*"/,
  ),
  ...['"*"', '"orders*"', '"orders:wr*"', '"*:write"', '"orders:*:read"'].map((text) =>
    bob(
      `${text} to approve`,
      `${good('bob.yaml')}approves_scopes: [${text}]\n`,
      'field_invalid',
      7,
      /beginning of some such as orders:\*/,
    ),
  ),
  bob(
    'scopes without an environment',
    `${change('bob.yaml', 'approves: [prod]\n', '')}approves_scopes: [orders:write]\n`,
    'field_invalid',
    6,
    /narrows "approves"/,
  ),
  bob(
    'an admin who approves',
    change('bob.yaml', '[approver]', '[admin]'),
    'field_invalid',
    6,
    /needs the role approver/,
  ),
  bob(
    'an alias of two, in capitals',
    `${good('bob.yaml')}also_known_as: ["b@example.com"]\n---\n${change('bob.yaml', 'operator: bob', 'operator: zoe').replace('sub: bob', 'sub: zoe')}also_known_as: ["B@example.com"]\n`,
    'alias_conflict',
    15,
    /already a name of bob/,
  ),
  // --- groups
  group(
    'a misspelt kind for groups',
    altered('operators:', 'operatorss:'),
    'kind_unknown',
    1,
    /Did you mean "operators"/,
  ),
  group(
    'a group without matcher',
    altered('{ groups: { has: writ-approvers } }', '{}'),
    'matcher_missing',
    4,
    /one matcher/,
  ),
  group('a star in a group', altered('writ-approvers', '"writ-*"'), 'matcher_invalid', 4, /literally/),
  group(
    'two matchers in one',
    altered('has: writ-approvers', 'has: a, equals: b'),
    'matcher_invalid',
    4,
    /exactly one of equals, in, prefix and has/,
  ),
  group('a list of groups', altered('has: writ-approvers', 'has: [a, b]'), 'field_type', 4, /must be text/),
  group(
    'a group without names',
    altered('name: { claim: sub }\n', ''),
    'field_missing',
    1,
    /"name" is missing/,
  ),
  ...['name', 'nickname', 'preferred_username', 'given_name'].map((claim) =>
    group(`${claim} as a name`, altered('claim: sub', `claim: ${claim}`), 'field_invalid', 5, /Use sub/),
  ),
  group(
    'a claim that is no word',
    altered('claim: sub', 'claim: "a:b"'),
    'field_invalid',
    5,
    /letters, digits and _/,
  ),
  group('a name for all', altered('{ claim: sub }', 'bob'), 'field_type', 5, /must be a mapping/),
  group(
    'approvers without teams',
    altered('teams: [platform]\n', ''),
    'field_missing',
    6,
    /"teams" is missing.*owns the agent/,
  ),
  group('teams in words', altered('[platform]', '{ clam: teams }'), 'key_unknown', 7, /Did you mean "claim"/),
  group('no other name', `${GROUP}also_known_as: { claims: [] }\n`, 'field_invalid', 10, /must not be empty/),
  group(
    'an unknown environment for a group',
    altered('[prod]', '[prdo]'),
    'environment_unknown',
    8,
    /Did you mean "prod"/,
  ),
  group(
    'an unknown scope for a group',
    altered('orders:*', 'reports:*'),
    'scope_unknown',
    9,
    /begins with "reports:"/,
  ),
  group(
    'a group of another issuer',
    altered('login.example.com', 'login.example.org'),
    'issuer_unknown',
    3,
    /Did you mean/,
  ),
  group(
    'two groups that name by different claims',
    second([['claim: sub', 'claim: email']]),
    'naming_conflict',
    15,
    /approvers takes names from "sub"/,
  ),
  group(
    'groups of two issuers',
    `${second([['login.example.com', 'login.example.net']])}---\nissuer: https://login.example.net\nfor: operators\naudience: x\n`,
    'naming_conflict',
    13,
    /all groups have one issuer/,
  ),
  group('a group twice', `${GROUP}---\n${GROUP}`, 'name_duplicate', 11, /already the operators approvers/),
]
