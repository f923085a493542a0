"""Unmodified boto3 against local AWS: assume a role, use the session, be refused, list in pages."""

import json
import sys
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

url, role_arn = sys.argv[1:3]
once = Config(retries={"total_max_attempts": 1}, signature_version="v4")
for_s3 = Config(retries={"total_max_attempts": 1}, signature_version="s3v4")


def client(service, keys=None):
    return boto3.client(service, endpoint_url=url, region_name="eu-west-1", config=for_s3 if service == "s3" else once, **(keys or {}))


def refusal(call):
    try:
        call()
        return "not refused"
    except ClientError as error:
        return error.response["Error"]["Code"]


policy = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::orders/*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::orders"},
    ],
}
assumed = client("sts").assume_role(
    RoleArn=role_arn,
    RoleSessionName="writ-boto",
    SourceIdentity="ada",
    Policy=json.dumps(policy),
    Tags=[{"Key": "writ:agent", "Value": "coder"}],
)
given = assumed["Credentials"]
keys = {
    "aws_access_key_id": given["AccessKeyId"],
    "aws_secret_access_key": given["SecretAccessKey"],
    "aws_session_token": given["SessionToken"],
}
s3 = client("s3", keys)
key = "a b+c/日本 <x>.txt"
s3.put_object(Bucket="orders", Key=key, Body=b"from boto", Metadata={"by": "boto"})
pages = s3.get_paginator("list_objects_v2").paginate(Bucket="orders", PaginationConfig={"PageSize": 2})
role = client("iam").get_role(RoleName="orders-read")["Role"]
presigned = s3.generate_presigned_url("get_object", Params={"Bucket": "orders", "Key": key})
print(
    json.dumps(
        {
            "arn": client("sts", keys).get_caller_identity()["Arn"],
            "sourceIdentity": assumed["SourceIdentity"],
            "body": s3.get_object(Bucket="orders", Key=key)["Body"].read().decode(),
            "metadata": s3.head_object(Bucket="orders", Key=key)["Metadata"],
            "keys": [item["Key"] for page in pages for item in page["Contents"]],
            "delete": refusal(lambda: s3.delete_object(Bucket="orders", Key=key)),
            "missing": refusal(lambda: s3.get_object(Bucket="orders", Key="missing")),
            "tooShort": refusal(
                lambda: client("sts").assume_role(RoleArn=role_arn, RoleSessionName="writ-boto", DurationSeconds=900, Policy="{")
            ),
            "trust": role["AssumeRolePolicyDocument"]["Statement"][0]["Effect"],
            "presigned": urllib.request.urlopen(presigned).read().decode(),
        }
    )
)
