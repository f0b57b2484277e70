# One RAM role for a fleet whose instances and disks carry one tag; see README.md beside this file.

terraform {
  required_version = ">= 1.3"
  required_providers {
    alicloud = {
      source = "aliyun/alicloud"
      # role_name and assume_role_policy_document of alicloud_ram_role are there since this version;
      # alicloud_ecs_ram_role_attachment since 1.250.0.
      version = ">= 1.252.0"
    }
  }
}

provider "alicloud" {
  region = var.region
}

resource "alicloud_ram_role" "fleet" {
  role_name                   = var.role_name
  description                 = "snap-self on the instances tagged ${var.tag_key}=${var.tag_value}"
  assume_role_policy_document = file("${path.module}/${var.ram_folder}/trust.json")
}

resource "alicloud_ram_policy" "fleet" {
  policy_name     = var.role_name
  description     = "Snapshots of tagged disks; no deletion"
  policy_document = local.policy
}

resource "alicloud_ram_role_policy_attachment" "fleet" {
  role_name   = alicloud_ram_role.fleet.role_name
  policy_name = alicloud_ram_policy.fleet.policy_name
  policy_type = "Custom"
}

# An instance has one role at a time: where it has one already, attach the policy to that.
resource "alicloud_ecs_ram_role_attachment" "member" {
  for_each = var.instance_ids

  instance_id   = each.value
  ram_role_name = alicloud_ram_role.fleet.role_name
}

# The template of `snap-self rollback --oos`, kept in the account: rollback.stored_template.
resource "alicloud_oos_template" "rollback" {
  count = var.oos_folder == null ? 0 : 1

  template_name = "snap-self-rollback"
  content       = file("${path.module}/${var.oos_folder}/snap-self-rollback.yml")
}
