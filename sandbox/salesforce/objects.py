"""The fields of the org's objects: standard ones as a new org has them, and a few custom ones.

One line per field: name, label, type and size, flags (letters of fields.FLAGS), options.
"""

from __future__ import annotations

from sandbox.salesforce.fields import read_table

_STAMPS = """
CreatedDate | Created Date | datetime | ADFS
CreatedById | Created By ID | reference | ADFGS | to=User | as=CreatedBy
LastModifiedDate | Last Modified Date | datetime | ADFS
LastModifiedById | Last Modified By ID | reference | ADFGS | to=User | as=LastModifiedBy
SystemModstamp | System Modstamp | datetime | ADFS
"""
_ACCURACY = (
    "values=Address; NearAddress; Block; Street; ExtendedZip; Zip; Neighborhood; City; County; State; Unknown"
)


def _address(prefix: str) -> str:
    name = prefix.strip()
    return f"""
{name}Street | {prefix}Street | textarea 255 | ACFGNPSU | in={name}Address | extra=plaintextarea
{name}City | {prefix}City | string 40 | ACFGNPSU | in={name}Address
{name}State | {prefix}State/Province | string 80 | ACFGNPSU | in={name}Address
{name}PostalCode | {prefix}Zip/Postal Code | string 20 | ACFGNPSU | in={name}Address
{name}Country | {prefix}Country | string 80 | ACFGNPSU | in={name}Address
{name}Latitude | {prefix}Latitude | double 18,15 | ACFNPSU | in={name}Address
{name}Longitude | {prefix}Longitude | double 18,15 | ACFNPSU | in={name}Address
{name}GeocodeAccuracy | {prefix}Geocode Accuracy | picklist 40 | ACFGNPRSU | in={name}Address | {_ACCURACY}
{name}Address | {prefix}Address | address | FNPq
""".strip()


_PERSON = """
LastName | Last Name | string 80 | ACFGSU | in=Name | extra=personname
FirstName | First Name | string 40 | ACFGNSU | in=Name | extra=personname
Salutation | Salutation | picklist 40 | ACFGNSU | in=Name | extra=personname \
    | values=Mr.; Ms.; Mrs.; Dr.; Prof.
Name | Full Name | string 121 | AFGnS | extra=personname
"""
_SOURCES = "values=Web; Phone Inquiry; Partner Referral; Purchased List; Other"
CONTACT = f"""
Id | Contact ID | id | ADFGLS
IsDeleted | Deleted | boolean | DFGS
MasterRecordId | Master Record ID | reference | AFGNS | to=Contact | as=MasterRecord
AccountId | Account ID | reference | ACFGNPSUs | to=Account | as=Account
{_PERSON.strip()}
{_address("Other ")}
{_address("Mailing ")}
Phone | Business Phone | phone 40 | ACFGNPSU
Fax | Business Fax | phone 40 | ACFGNPSU
MobilePhone | Mobile Phone | phone 40 | ACFGNPSU
HomePhone | Home Phone | phone 40 | ACFGNPSU
OtherPhone | Other Phone | phone 40 | ACFGNPSU
AssistantPhone | Asst. Phone | phone 40 | ACFGNPSU
ReportsToId | Reports To ID | reference | ACFGNPSUs | to=Contact | as=ReportsTo
Email | Email | email 80 | ACFGLNPSU
Title | Title | string 128 | ACFGNPSU
Department | Department | string 80 | ACFGNPSU
AssistantName | Assistant's Name | string 40 | ACFGNPSU
LeadSource | Lead Source | picklist 255 | ACFGNPSU | {_SOURCES}
Birthdate | Birthdate | date | ACFGNPSU
Description | Contact Description | textarea 32000 | CNPU | extra=plaintextarea
OwnerId | Owner ID | reference | ACDFGSU | to=User | as=Owner
HasOptedOutOfEmail | Email Opt Out | boolean | CDFGPSU
DoNotCall | Do Not Call | boolean | CDFGPSU
{_STAMPS.strip()}
LastActivityDate | Last Activity | date | AFGNS
LastCURequestDate | Last Stay-in-Touch Request Date | datetime | AFNS
LastCUUpdateDate | Last Stay-in-Touch Save Date | datetime | AFNS
LastViewedDate | Last Viewed Date | datetime | AFNS
LastReferencedDate | Last Referenced Date | datetime | AFNS
EmailBouncedReason | Email Bounced Reason | string 255 | ACFGNSU
EmailBouncedDate | Email Bounced Date | datetime | ACFNSU
IsEmailBounced | Is Email Bounced | boolean | DFGS
PhotoUrl | Photo URL | url 255 | AFGNS | extra=imageurl
Jigsaw | Data.com Key | string 20 | ACFGNPSU
JigsawContactId | Jigsaw Contact ID | string 20 | AFGNS | as=JigsawContact
CleanStatus | Clean Status | picklist 40 | ACFGNPRSU \
    | values=Matched; Different; Acknowledged; NotFound; Inactive; Pending; SelectMatch; Skipped
IndividualId | Individual ID | reference | ACFGNSUs | to=Individual | as=Individual
RecordTypeId | Record Type ID | reference | ACFGNSU | to=RecordType | as=RecordType
Plan__c | Plan | picklist 255 | ACFGNPRSUx | values=Free; Starter; Pro; Enterprise
Lifetime_Value__c | Lifetime Value | currency 18,2 | ACFNPSUx
Renewal_Date__c | Renewal Date | date | ACFGNPSUx
Last_Visit__c | Last Visit | datetime | ACFNPSUx
VIP__c | VIP | boolean | CDFGPSUx
Notes__c | Notes | textarea 32000 | CNPUx | extra=plaintextarea
Interests__c | Interests | string 255 | ACFGNPSUx
Score__c | Score | double 18,2 | AFNPSx= \
    | formula=IF(VIP__c, 50, 0) + MIN(50, BLANKVALUE(Lifetime_Value__c, 0) / 1000)
Nickname__c | Nickname | string 40 | ACFGNPSUx
Tier__c | Tier | picklist 255 | ACFGNPRSUx | values=Bronze; Silver; Gold | inactive=Platinum
Topics__c | Topics | multipicklist 4099 | ACFNPRUx | values=Sailing; Chess; Gardening
Customer_Number__c | Customer Number | string 40 | ACFGLNPSUXux
"""
TASK = f"""
Id | Activity ID | id | ADFGLS
WhoId | Name ID | reference | ACFGNPSUpys | to=Contact Lead | as=Who
WhatId | Related To ID | reference | ACFGNPSUpys | to=Account | as=What
Subject | Subject | combobox 255 | ACFNSUn | values=Call; Email; Send Letter; Send Quote; Other
ActivityDate | Due Date Only | date | ACFGNSU
Status | Status | picklist 255 | ACDFGSU \
    | values=Not Started; In Progress; Completed; Waiting on someone else; Deferred | default=Not Started
Priority | Priority | picklist 255 | ACDFGSU | values=High; Normal; Low | default=Normal
IsHighPriority | High Priority | boolean | DFGS
OwnerId | Assigned To ID | reference | ACDFGSUpy | to=User | as=Owner
Description | Description | textarea 32000 | CNPU | extra=plaintextarea
Type | Type | picklist 40 | ACFGNPSU | values=Call; Email; Meeting; Other
IsDeleted | Deleted | boolean | DFGS
AccountId | Account ID | reference | AFGNSs | to=Account | as=Account
IsClosed | Closed | boolean | DFGS
{_STAMPS.strip()}
IsArchived | Archived | boolean | DFGS
CallDurationInSeconds | Call Duration | int 8 | ACFGNPSU
CallType | Call Type | picklist 40 | ACFGNPRSU | values=Internal; Inbound; Outbound
CallDisposition | Call Result | string 255 | ACFGNPSU
CallObject | Call Object Identifier | string 255 | ACFGNPSU
ReminderDateTime | Reminder Date/Time | datetime | ACFNSU
IsReminderSet | Reminder Set | boolean | CDFGSU
RecurrenceActivityId | Recurrence Activity ID | reference | AFGNS | to=Task
IsRecurrence | Create Recurring Series of Tasks | boolean | DFGS
TaskSubtype | Task Subtype | picklist 40 | ACDFGNRS \
    | values=Task; Email; ListEmail; Cadence; Call; LinkedIn | default=Task
CompletedDateTime | Completed Date | datetime | AFNS
Conversation_Key__c | Conversation Key | string 255 | ACFGLNPSUXux
"""
ACCOUNT = f"""
Id | Account ID | id | ADFGLS
IsDeleted | Deleted | boolean | DFGS
MasterRecordId | Master Record ID | reference | AFGNS | to=Account | as=MasterRecord
Name | Account Name | string 255 | ACFGSUn | extra=switchablepersonname
Type | Account Type | picklist 255 | ACFGNPSU \
    | values=Prospect; Customer - Direct; Customer - Channel; Channel Partner / Reseller; Other
ParentId | Parent Account ID | reference | ACFGNPSUs | to=Account | as=Parent
{_address("Billing ")}
Phone | Account Phone | phone 40 | ACFGNPSU
Fax | Account Fax | phone 40 | ACFGNPSU
AccountNumber | Account Number | string 40 | ACFGNPSU
Website | Website | url 255 | ACFGNPSU
Industry | Industry | picklist 255 | ACFGNPSU \
    | values=Agriculture; Banking; Consulting; Education; Healthcare; Technology; Other
AnnualRevenue | Annual Revenue | currency 18,0 | ACFNPSU
NumberOfEmployees | Employees | int 8 | ACFGNPSU
Description | Account Description | textarea 32000 | CNPU | extra=plaintextarea
OwnerId | Owner ID | reference | ACDFGSU | to=User | as=Owner
{_STAMPS.strip()}
LastActivityDate | Last Activity | date | AFGNS
"""
LEAD = f"""
Id | Lead ID | id | ADFGLS
IsDeleted | Deleted | boolean | DFGS
MasterRecordId | Master Record ID | reference | AFGNS | to=Lead | as=MasterRecord
{_PERSON.strip()}
Title | Title | string 128 | ACFGNPSU
Company | Company | string 255 | ACFGSU
Phone | Phone | phone 40 | ACFGNPSU
MobilePhone | Mobile Phone | phone 40 | ACFGNPSU
Email | Email | email 80 | ACFGLNPSU
Description | Description | textarea 32000 | CNPU | extra=plaintextarea
LeadSource | Lead Source | picklist 255 | ACFGNPSU | {_SOURCES}
Status | Status | picklist 255 | ACDFGSU \
    | values=Open - Not Contacted; Working - Contacted; Closed - Converted; \
    Closed - Not Converted | default=Open - Not Contacted
OwnerId | Owner ID | reference | ACDFGSU | to=User | as=Owner
IsConverted | Converted | boolean | DFGS
ConvertedContactId | Converted Contact ID | reference | AFGNSs | to=Contact | as=ConvertedContact
{_STAMPS.strip()}
LastActivityDate | Last Activity | date | AFGNS
"""
USER = f"""
Id | User ID | id | ADFGLS
Username | Username | string 80 | AFGLSu
LastName | Last Name | string 80 | AFGS | extra=personname
FirstName | First Name | string 40 | AFGNS | extra=personname
Name | Full Name | string 121 | AFGnS | extra=personname
Email | Email | email 128 | AFGLS
IsActive | Active | boolean | DFGS
UserType | User Type | picklist 40 | AFGNRS | values=Standard; PowerPartner; CspLitePortal
{_STAMPS.strip()}
"""
ORGANIZATION = f"""
Id | Organization ID | id | ADFGLS
Name | Name | string 80 | AFGSn
OrganizationType | Edition | picklist 40 | AFGNRS \
    | values=Developer Edition; Enterprise Edition; Unlimited Edition
InstanceName | Instance Name | string 5 | AFGNS
IsSandbox | Is Sandbox | boolean | DFGS
TimeZoneSidKey | Time Zone | picklist 40 | AFGRS \
    | values=America/Los_Angeles; America/New_York; Europe/Berlin; Asia/Tokyo | default=America/Los_Angeles
{_STAMPS.strip()}
"""
TASK_STATUS = f"""
Id | Task Status Value ID | id | ADFGLS
MasterLabel | Master Label | string 255 | AFGSn
ApiName | API Name | string 255 | AFGS
SortOrder | Sort Order | int 9 | AFGNS
IsDefault | Is Default | boolean | DFGS
IsClosed | Is Closed | boolean | DFGS
{_STAMPS.strip()}
"""
RECORD_TYPE = f"""
Id | Record Type ID | id | ADFGLS
Name | Name | string 80 | AFGSn
DeveloperName | Record Type Name | string 80 | AFGS
SobjectType | SObject Type Name | picklist 40 | AFGRS | values=Account; Contact; Lead; Task
IsActive | Active | boolean | DFGS
{_STAMPS.strip()}
"""
OBJECTS = {
    "Account": ACCOUNT,
    "Contact": CONTACT,
    "Lead": LEAD,
    "Organization": ORGANIZATION,
    "RecordType": RECORD_TYPE,
    "Task": TASK,
    "TaskStatus": TASK_STATUS,
    "User": USER,
}
FIELDS = {name: read_table(table) for name, table in OBJECTS.items()}
