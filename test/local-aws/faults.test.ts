import { PutRolePolicyCommand } from '@aws-sdk/client-iam'
import { AssumeRoleCommand, GetCallerIdentityCommand } from '@aws-sdk/client-sts'
import t from 'tap'
import { allow, narrow, READ_ROLE, refusal, world } from './support.js'

const assume = () => new AssumeRoleCommand({ RoleArn: READ_ROLE, RoleSessionName: 'writ-1' })

t.test('the next calls fail as told, then no more', async (t) => {
  const { sts, iam, aws } = await world(t)
  aws.faults.fail('throttling', { times: 2 })
  aws.faults.fail('internal')
  aws.faults.fail('access-denied')
  t.equal(await refusal(sts().send(new GetCallerIdentityCommand({}))), 'not refused', 'another action')
  t.equal(await refusal(sts().send(assume())), 'Throttling 400')
  t.equal(await refusal(sts().send(assume())), 'Throttling 400')
  t.equal(await refusal(sts().send(assume())), 'InternalFailure 500')
  t.equal(await refusal(sts().send(assume())), 'AccessDenied 403')
  t.equal(await refusal(sts().send(assume())), 'not refused')
  aws.faults.fail('internal', { action: 'PutRolePolicy' })
  const put = new PutRolePolicyCommand({
    RoleName: 'orders-read',
    PolicyName: 'x',
    PolicyDocument: narrow(allow('s3:*')),
  })
  t.match(await refusal(iam().send(put)), / 500$/)
  t.equal(await refusal(iam().send(put)), 'not refused')
})

t.test('a call held before anything happened', async (t) => {
  const { sts, aws } = await world(t)
  const held = aws.faults.hold('before')
  let answered = false
  const call = sts()
    .send(assume())
    .then(() => {
      answered = true
    })
  await held.caught
  await sts().send(new GetCallerIdentityCommand({}))
  t.notOk(answered)
  held.release()
  await call
  t.ok(answered)
})

t.test('a call that hangs until its client gives up', async (t) => {
  const { sts, aws } = await world(t)
  const held = aws.faults.hold('before')
  const gone = new AbortController()
  const call = refusal(sts().send(assume(), { abortSignal: gone.signal }))
  await held.caught
  gone.abort()
  t.match(await call, /^AbortError/)
  held.release()
})

t.test('a session that was minted and never delivered', async (t) => {
  const { sts, aws } = await world(t)
  const held = aws.faults.hold('after')
  const call = refusal(sts().send(assume()))
  await held.caught
  held.drop()
  t.not(await call, 'not refused')
  t.match(aws.calls.at(-1), { action: 'sts:AssumeRole', allowed: true, code: 'Dropped' })
})

t.test('an answer that comes late is a good one', async (t) => {
  const { sts, aws } = await world(t)
  const held = aws.faults.hold('after')
  const call = sts().send(assume())
  await held.caught
  held.release()
  t.match(await call, { Credentials: { AccessKeyId: /^ASIA/ } })
})

t.test('closing lets go of what is held', async (t) => {
  const { sts, aws } = await world(t)
  const held = aws.faults.hold('before')
  const call = refusal(sts().send(assume()))
  await held.caught
  await aws.close()
  t.not(await call, 'not refused')
})
