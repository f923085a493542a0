import { type Case, change, good } from './case.js'

const prod = (what: string, lines: string, code: Case['code'], says: RegExp, line = 5): Case => ({
  what,
  file: 'prod.yaml',
  text: `${good('prod.yaml')}${lines}\n`,
  code,
  line,
  says,
})
const dev = (what: string, lines: string, code: Case['code'], says: RegExp): Case => ({
  ...prod(what, lines, code, says),
  file: 'dev.yaml',
  text: `${good('dev.yaml')}${lines}\n`,
})
const glass = (what: string, inner: string, code: Case['code'], says: RegExp): Case =>
  prod(what, `break_glass: { ${inner} }`, code, says)

const signIn = (
  what: string,
  inner: string,
  code: Case['code'],
  says: RegExp,
  file = 'staff.yaml',
): Case => ({
  what,
  file,
  text: `${good(file)}sign_in: { ${inner} }\n`,
  code,
  line: file === 'staff.yaml' ? 4 : 5,
  says,
})

const number = (text: string, code: Case['code'], says: RegExp): Case => ({
  what: `${text} approvals for a scope`,
  file: 'write.yaml',
  text: `${good('write.yaml')}approvals: ${text}\n`,
  code,
  line: 6,
  says,
})

/** Who has to be asked, how often, and where they sign in. */
export const GATES: readonly Case[] = [
  // --- numbers of scopes
  number('0', 'field_invalid', /at least 1/),
  number('11', 'field_invalid', /at most 10/),
  number('1.5', 'field_type', /must be a whole number/),
  {
    what: 'approvals for a read',
    file: 'read.yaml',
    text: `${good('read.yaml')}approvals: 2\n`,
    code: 'approvals_loosened',
    line: 6,
    says: /Nobody is asked for a read/,
  },
  // --- waiting
  prod('no waiting at all', 'cool_down: 0m', 'field_invalid', /duration/),
  prod('a short wait', 'cool_down: 59s', 'field_invalid', /at least 1m/),
  prod('a wait of days', 'cool_down: 25h', 'field_invalid', /at most 24h/),
  dev(
    'a wait where nobody is asked',
    'cool_down: 5m',
    'field_invalid',
    /Nobody is asked in the tier development/,
  ),
  // --- breaking the glass
  dev(
    'breaking the glass in development',
    'break_glass: { operators: [bob] }',
    'break_glass_invalid',
    /production only/,
  ),
  glass(
    'glass for more than an hour',
    'operators: [bob], max: 61m',
    'break_glass_invalid',
    /61m is not between 1m and 1h/,
  ),
  glass('glass for seconds', 'operators: [bob], max: 59s', 'break_glass_invalid', /59s is not between/),
  glass('glass for nobody', 'operators: []', 'field_invalid', /must not be empty/),
  glass('glass without names', 'max: 1h', 'field_missing', /"break_glass.operators" is missing/),
  glass('glass for many', `operators: [${[...'abcdefghijk'].join(', ')}]`, 'field_invalid', /at most 10/),
  glass('glass for a stranger', 'operators: [bbo]', 'operator_unknown', /"bbo". Did you mean "bob"/),
  {
    ...glass(
      'glass for a group',
      'operators: [few]',
      'operator_unknown',
      /No operator document is called "few"/,
    ),
    text: `${good('prod.yaml')}break_glass: { operators: [few] }\n---\noperators: few\nidentity: { issuer: https://login.example.com, claims: { groups: { has: few } } }\nname: { claim: sub }\nroles: [approver]\nteams: [few]\napproves: [prod]\n`,
  },
  {
    ...glass(
      'glass for somebody else',
      'operators: [carol]',
      'operator_unknown',
      /carol is no approver of prod/,
    ),
    text: `${good('prod.yaml')}break_glass: { operators: [carol] }\n---\n${change('bob.yaml', 'operator: bob', 'operator: carol').replace('sub: bob', 'sub: carol').replace('[prod]', '[dev]')}`,
  },
  // --- signing in
  signIn('agents who sign in', 'client_id: writ', 'field_invalid', /for issuers of operators/, 'issuer.yaml'),
  signIn('signing in as nobody', 'scopes: [openid]', 'field_missing', /client_id" is missing/),
  signIn(
    'a secret in the issuer',
    'client_id: w, client_secret: hunter2',
    'key_unknown',
    /There is: client_id, client_secret_file/,
  ),
  signIn('a secret somewhere', 'client_id: w, client_secret_file: secret', 'field_invalid', /absolute path/),
  signIn('signing in without openid', 'client_id: w, scopes: [email]', 'field_invalid', /must have openid/),
  signIn('two scopes in one', 'client_id: w, scopes: ["openid email"]', 'field_invalid', /without spaces/),
  {
    what: 'signing in where agents are the audience',
    file: 'staff.yaml',
    text: `${good('staff.yaml')}sign_in: { client_id: shared }\n---\nissuer: https://login.example.com\nfor: agents\naudience: shared\n`,
    code: 'audience_shared',
    line: 4,
    says: /would open their routes/,
  },
  {
    what: 'signing in at the local issuer',
    file: 'x.yaml',
    text: 'issuer: https://local.writ.invalid\nfor: operators\naudience: x\nsign_in: { client_id: w }\n',
    code: 'field_invalid',
    line: 4,
    says: /has no pages/,
  },
]
